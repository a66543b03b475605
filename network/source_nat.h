// Under whose address pods' packets go on from the node, where it is not the
// pods' own.
//
// To services: the node's. The node turns a service's address into a backend's
// (kube-proxy). A backend on the pods' own subnet would answer the client
// directly, from an address that the client never asked; with the node as
// source the answer takes the way back through the node.
//
// To anywhere else, where nobody beyond the node knows the way to the pods
// (mode "bridge"): that of the link by which they leave ("masquerade").
//
// In nf_tables, in a table of our own named after the node link: nobody
// else's rules are read or changed, and daemons side by side have one each.
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_SOURCE_NAT_H_
#define PINION_NETWORK_SOURCE_NAT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ipam/ip_address.h"
#include "network/addressing.h"
#include "os/netlink.h"

namespace pinion::network {

struct SourceNat {
  std::vector<FamilyPlan> plans;
  // What leaves the pods' subnet is masqueraded, but to these prefixes.
  bool masquerade = false;
  std::vector<ipam::IpPrefix> no_masquerade = {};
};

// Whether there is any rule to be had.
bool NeedsRules(const SourceNat& nat);

// Puts the table in place, or removes it if no rule is needed; in one
// transaction (nf_tables commits a batch as a whole). `netfilter` is of
// NetlinkSocket::OpenNetfilter.
absl::Status ReplaceSourceNat(os::NetlinkSocket& netfilter,
                              const std::string& table, const SourceNat& nat);

}  // namespace pinion::network

#endif  // PINION_NETWORK_SOURCE_NAT_H_
