// A pod's interface, and all that makes it usable.
//
// Two system calls with their answers: one request makes the macvlan inside
// the pod's namespace under its final name and MAC (nothing is renamed,
// nothing can collide with a device of the host); one batch, on a socket that
// was opened inside that namespace, does the rest.
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_POD_LINK_H_
#define PINION_NETWORK_POD_LINK_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ipam/ip_address.h"
#include "network/addressing.h"
#include "network/rtnl.h"
#include "os/netlink.h"

namespace pinion::network {

struct PodLinkSpec {
  std::string name;
  int parent_index = 0;
  MacAddress mac{};
  // 0: the parent's.
  uint32_t mtu = 0;
  // The node's MAC as pods see it (HostLinkMac).
  MacAddress node_mac{};
};

// A link in the pod's namespace.
struct PodLink {
  int index = 0;
  // Made by this call and not by an earlier one.
  bool fresh = false;
};

// The pod's address with the plan it comes from.
struct PodAddress {
  const FamilyPlan* plan = nullptr;
  ipam::IpAddress address;
};

// Makes the interface, down and without an address. `host` is a socket of the
// parent's namespace, `pod` one of the pod's. Success if it is there already
// with this MAC; AlreadyExists if something else has its name.
absl::StatusOr<PodLink> CreatePodLink(os::NetlinkSocket& host,
                                      os::NetlinkSocket& pod, int netns_fd,
                                      const PodLinkSpec& spec);

// Loopback up, addresses, routes, the node's neighbour entry, up; success if
// that is so already. On failure a fresh link is deleted.
absl::Status ConfigurePodLink(os::NetlinkSocket& pod, const PodLinkSpec& spec,
                              const PodLink& link,
                              const std::vector<PodAddress>& addresses);

// Loopback up, nothing else.
absl::Status BringUpLoopback(os::NetlinkSocket& pod);

}  // namespace pinion::network

#endif  // PINION_NETWORK_POD_LINK_H_
