// A pod's interface, and all that makes it usable.
//
// Two system calls with their answers: one makes the link inside the pod's
// namespace under its final name and MAC (nothing is renamed); one batch, on a
// socket that was opened inside that namespace, does the rest. Nothing can
// collide with a device of the host; but a veth's other end is one, named
// after the pod's MAC and thereby after its address, which nobody else has.
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_POD_LINK_H_
#define PINION_NETWORK_POD_LINK_H_

#include <cstdint>
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
  enum class Kind {
    kMacvlan,
    kIpvlan,
    // To a port of the parent, a bridge.
    kVeth,
  };
  Kind kind = Kind::kMacvlan;
  std::string name;
  int parent_index = 0;
  MacAddress mac{};  // of an ipvlan the parent's
  // 0: the parent's, of a veth the kernel's.
  uint32_t mtu = 0;
  uint32_t parent_mtu = 0;  // 0: not known, but enough for IPv6
  // The node's MAC as pods see it (HostLinkMac).
  MacAddress node_mac{};
  // Further addresses that are at this MAC, for which nobody answers.
  std::vector<ipam::IpAddress> node_aliases = {};
  MacvlanMode mode = MacvlanMode::kBridge;
  IpvlanMode ipvlan_mode = IpvlanMode::kL2;
  // What the pod may send, and be sent: that one of a veth only. 0: no limit.
  uint64_t egress_bits_per_second = 0;
  uint64_t ingress_bits_per_second = 0;
  // Among the pod's interfaces; the first one's is 0.
  int ordinal = 0;
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

// The port of a pod with this MAC: "pn-6e700a070102".
std::string PortName(const MacAddress& mac);

// Whether an attach failed with this because some other pod's link still has
// the address: its namespace is not quite gone.
bool AddressStillHeld(const absl::Status& status);

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

// Of an attach that fails later on.
void DeletePodLink(os::NetlinkSocket& pod, const PodLinkSpec& spec,
                   const PodLink& link);

// Loopback up, nothing else.
absl::Status BringUpLoopback(os::NetlinkSocket& pod);

}  // namespace pinion::network

#endif  // PINION_NETWORK_POD_LINK_H_
