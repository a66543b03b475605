// The node's own macvlan on the pods' parent.
//
// A macvlan cannot reach the host of its parent (the kernel never turns a
// frame round on the parent), so kubelet's probes would fail. A second
// macvlan on the same parent, in the host's namespace, can; a route leads the
// node's pod range through it.
//
// arp_ignore=1 on it: otherwise a third host that asks for the node's address
// gets two answers, the parent's and this link's. Pods then get none from
// here, so each has a permanent neighbour entry for the node
// (network/pod_link.h).
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_HOST_LINK_H_
#define PINION_NETWORK_HOST_LINK_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "network/addressing.h"
#include "network/options.h"
#include "network/rtnl.h"
#include "os/netlink.h"
#include "os/unique_fd.h"

namespace pinion::network {

// The MAC that pods know the node by.
MacAddress HostLinkMac(const std::vector<FamilyPlan>& plans);

// The name in this network namespace, with all that is called after it (link,
// nf_tables), for as long as the descriptor is open: an abstract socket
// (unix(7)). FailedPrecondition: another piniond has it.
absl::StatusOr<os::UniqueFd> ClaimHostLinkName(const std::string& name);

// Makes the link, or brings one that pinion made before into this state: MAC,
// addresses, routes, up. What is right already is not touched, so pods'
// connections live on and no link event is caused. AlreadyExists if the name
// is taken by another's device.
absl::StatusOr<Link> EnsureHostLink(os::NetlinkSocket& socket,
                                    const Options& options, const Link& parent,
                                    const std::vector<FamilyPlan>& plans);

}  // namespace pinion::network

#endif  // PINION_NETWORK_HOST_LINK_H_
