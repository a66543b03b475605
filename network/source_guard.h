// What pods on a bridge may send: frames under their own MAC and addresses, and
// nothing else. A pod has CAP_NET_RAW by default; without this it could take
// another pod's traffic (by its MAC, by ARP, by neighbour advertisements), send
// under another's address, or tell pods of routes.
//
// From a pod's port come only
//   ARP    of its own MAC and IPv4 address,
//   IPv4   from its own address,
//   IPv6   from its own address, its link-local one (made from the MAC) or, for
//          want of another, from "::"; no neighbour advertisement of another's
//          address, no router advertisement.
// What comes in by other ports, and what goes to pods, is not looked at.
//
// In nf_tables, in a table of the family "bridge" named after the bridge, with
// a set of what each port may send.
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_SOURCE_GUARD_H_
#define PINION_NETWORK_SOURCE_GUARD_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ipam/ip_address.h"
#include "network/rtnl.h"
#include "os/netlink.h"

namespace pinion::network {

// What one pod may send.
struct PodSource {
  std::string port;
  MacAddress mac{};
  std::vector<ipam::IpAddress> addresses;
};

// The table with these pods and no others. What its rules have counted is
// carried over, but for what is dropped in between.
absl::Status ReplaceSourceGuard(os::NetlinkSocket& netfilter,
                                const std::string& table,
                                const std::vector<PodSource>& pods);
absl::Status RemoveSourceGuard(os::NetlinkSocket& netfilter,
                               const std::string& table);

// One more, or no more; success if it is so already. ENOENT: there is no such
// table (os::NetlinkErrno). `former` may be null: goes in the same instant.
absl::Status ReplacePodSource(os::NetlinkSocket& netfilter,
                              const std::string& table, const PodSource* former,
                              const PodSource& pod);
absl::Status RemovePodSource(os::NetlinkSocket& netfilter,
                             const std::string& table, const PodSource& pod);

}  // namespace pinion::network

#endif  // PINION_NETWORK_SOURCE_GUARD_H_
