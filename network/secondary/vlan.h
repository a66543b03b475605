// VLAN devices of pinion's own on the parents of further networks: made when
// a pod first needs one, gone when none does.
//
// Up and silent: the host itself has no address in the VLAN, heeds no router
// and answers no ARP request there. Their alias is kOwnAlias and whose they
// are: "made by pinion (pinion-host)".
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_SECONDARY_VLAN_H_
#define PINION_NETWORK_SECONDARY_VLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "network/rtnl.h"
#include "os/netlink.h"

namespace pinion::network {

inline constexpr uint32_t kMaxVlan = 4094;  // IEEE 802.1Q

// "pv3fa29c1e.100": 3 digits stand for the daemon, that is its host link's
// name, 5 for the parent's; 15 bytes at most. Two parents' names may be equal
// (CheckSecondaryOptions finds out).
std::string VlanDeviceName(const std::string& host_link_name,
                           const std::string& parent, uint32_t vlan);

// Whether such a device may belong to the daemon with this host link; its
// alias says whether it does.
bool IsVlanDeviceName(const std::string& host_link_name,
                      const std::string& name);

// The device of this VLAN on `parent`, which is up. FailedPrecondition: the
// VLAN, or the device's name, is somebody else's.
absl::StatusOr<Link> EnsureVlan(os::NetlinkSocket& socket,
                                const std::string& host_link_name,
                                const Link& parent, uint32_t vlan);

// The daemon's, those included that a crash left half made.
absl::StatusOr<std::vector<Link>> ListVlans(os::NetlinkSocket& socket,
                                            const std::string& host_link_name);

// Missing is success.
absl::Status RemoveVlan(os::NetlinkSocket& socket, const Link& link);

}  // namespace pinion::network

#endif  // PINION_NETWORK_SECONDARY_VLAN_H_
