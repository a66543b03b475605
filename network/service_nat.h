// What pods send to services gets the node's address as its source.
//
// The node turns a service's address into a backend's (kube-proxy). A backend
// on the pods' own subnet would answer the client directly, from an address
// that the client never asked; with the node as source the answer takes the
// way back through the node.
//
// In nf_tables, in a table of our own named after the host link: nobody
// else's rules are read or changed, and daemons side by side have one each.
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_SERVICE_NAT_H_
#define PINION_NETWORK_SERVICE_NAT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "network/addressing.h"
#include "os/netlink.h"

namespace pinion::network {

// Puts the table for these plans in place, in one transaction (nf_tables
// commits a batch as a whole). `netfilter` is of NetlinkSocket::OpenNetfilter.
absl::Status ReplaceServiceNat(os::NetlinkSocket& netfilter,
                               const std::string& table,
                               const std::vector<FamilyPlan>& plans);

// Removes it; missing is success.
absl::Status RemoveServiceNat(os::NetlinkSocket& netfilter,
                              const std::string& table);

}  // namespace pinion::network

#endif  // PINION_NETWORK_SERVICE_NAT_H_
