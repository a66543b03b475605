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
// (network/pod_link.h). How it asks itself: network/host_link_arp.h.
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

// The MAC that pods know the node by: the one that running ones have, if any;
// otherwise it follows from the first plan's node.
MacAddress HostLinkMac(const std::vector<FamilyPlan>& plans);

// The name in this network namespace, with all that is called after it (link,
// nf_tables), for as long as the descriptor is open: a lock on a file that only
// root can open (/run/pinion-links; an abstract socket could be anybody's who
// is in this network namespace). FailedPrecondition: another piniond has it.
absl::StatusOr<os::UniqueFd> ClaimHostLinkName(const std::string& name);

// Appends what turns the addresses and pinion's routes of the link into the
// wanted ones: the node's, and the way to the ranges. What is right already is
// not touched. InvalidArgument: PlanNodeRoutes.
absl::Status AppendNodeAddresses(os::NetlinkSocket& socket, const Link& link,
                                 const Link& parent,
                                 const std::vector<FamilyPlan>& plans,
                                 os::NetlinkBatch& batch);

// A link that the kernel made elsewhere than on the parent that it was asked
// for on. It is not made again and again: each time, its own messages would
// tell of a change.
struct Misplaced {
  int index = 0;
  int parent_index = 0;
};

// FailedPrecondition if `link`, just made on `parent`, does not stand as asked
// for; then `misplaced` is it.
absl::Status CheckPlace(const Link& link, const Link& parent,
                        const std::string& kind, Misplaced& misplaced);

// Whether `link` can stay for its place: it is where it belongs, or was found
// to be misplaced on this parent before, which is FailedPrecondition. False:
// it is to be made anew.
absl::StatusOr<bool> IsPlaced(const Link& link, const Link& parent,
                              const std::string& kind,
                              const Misplaced& misplaced);

// Makes the link, or brings one that pinion made before into this state: MAC,
// addresses, routes, up. What is right already is not touched, so pods'
// connections live on and no link event is caused. AlreadyExists if the name
// is taken by another's device. `misplaced` is kept from call to call.
absl::StatusOr<Link> EnsureHostLink(os::NetlinkSocket& socket,
                                    const Options& options, const Link& parent,
                                    const std::vector<FamilyPlan>& plans,
                                    Misplaced& misplaced);

}  // namespace pinion::network

#endif  // PINION_NETWORK_HOST_LINK_H_
