// Whether the node lets packets through, which mode "bridge" needs: what pods
// send comes in over the bridge, and its answers over the device that leads
// out.
//
// Stateless; see os/netlink.h for who may use a socket.

#ifndef PINION_NETWORK_FORWARDING_H_
#define PINION_NETWORK_FORWARDING_H_

#include <linux/rtnetlink.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "network/addressing.h"
#include "network/pod_network.h"
#include "network/rtnl.h"
#include "os/netlink.h"

namespace pinion::network {

// Whether packets are forwarded that come in over a device: of IPv4 for each
// one, of IPv6 for the whole namespace (net.ipv6.conf.all.forwarding).
struct Forwarding {
  bool ipv4 = false;  // net.ipv4.ip_forward, which new devices get
  std::vector<int> ipv4_links;
  bool ipv6 = false;

  bool Forwards(int link_index) const;
};
absl::StatusOr<Forwarding> GetForwarding(os::NetlinkSocket& socket);

// The device by which packets to the internet leave, of IPv4, with the route's
// MTU where that is less; none: the node has no such route.
absl::StatusOr<std::optional<Link>> FindWayOut(os::NetlinkSocket& socket);

// Whether pods on `bridge` reach anything beyond the node: "ForwardingOff". Of
// IPv4 the device counts that leads to the internet; where none does, any that
// is neither loopback nor a bridge (another daemon's vouches for nothing).
absl::StatusOr<Readiness> CheckForwarding(os::NetlinkSocket& socket,
                                          const Link& bridge,
                                          const std::vector<FamilyPlan>& plans);

// Whether a message of these groups tells that CheckForwarding may say
// something else now: a setting, or the way out, has changed.
bool IsForwardingChange(const os::NetlinkMessage& message);
inline constexpr uint32_t kForwardingGroups = RTMGRP_IPV4_ROUTE |
                                              1U << (RTNLGRP_IPV4_NETCONF - 1) |
                                              1U << (RTNLGRP_IPV6_NETCONF - 1);

}  // namespace pinion::network

#endif  // PINION_NETWORK_FORWARDING_H_
