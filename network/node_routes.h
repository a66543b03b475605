// The ways by which the node reaches its pods: routes for their ranges over
// the node link, in the main table and with kRouteProtocol.
//
// No route of anybody else's is ever replaced. Where the node has one for the
// very prefix, as where a range is the parent's whole subnet, the prefix' two
// halves are routed: being longer they count more, whatever the other's
// metric, and when they go everything is as it was.
//
// Stateless; one thread at a time per socket.

#ifndef PINION_NETWORK_NODE_ROUTES_H_
#define PINION_NETWORK_NODE_ROUTES_H_

#include <linux/rtnetlink.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "ipam/ip_address.h"
#include "network/addressing.h"
#include "network/rtnl.h"
#include "os/netlink.h"

namespace pinion::network {

// Prefixes that are none of `taken` and together `prefix`: itself, its halves,
// or halves of these. Without a single address that is taken.
std::vector<ipam::IpPrefix> WithoutTaken(
    const ipam::IpPrefix& prefix, const std::vector<ipam::IpPrefix>& taken);

struct NodeRouteChanges {
  std::vector<RouteSpec> superfluous;
  std::vector<RouteSpec> missing;
};
// What turns pinion's routes over the link into those of the plans.
// InvalidArgument: a range has a whole network in it that the node is in by
// another link than this one and `parent`, and that is not excluded; it would
// be cut off from that, or from pods. The parent is told, not read off the
// link: a macvlan on a macvlan stands beside it on what is below.
absl::StatusOr<NodeRouteChanges> PlanNodeRoutes(
    os::NetlinkSocket& socket, const Link& node_link, const Link& parent,
    const std::vector<FamilyPlan>& plans);

// Whether a message of kNodeRouteGroups, or of the IFADDR groups, tells that
// one of them went, or the node's address on the link, without which the kernel
// drops them silently; or that somebody has another way to a plan's range,
// which may have taken the place of pinion's (NLM_F_REPLACE: nothing tells of
// the former).
bool IsNodeRouteLoss(const os::NetlinkMessage& message, int node_link,
                     const std::vector<FamilyPlan>& plans);
inline constexpr uint32_t kNodeRouteGroups =
    RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

// A socket for Receive, with kNodeRouteGroups or not: with room for many
// messages, and without those of a routing daemon's thousands of routes. What
// is left are the kernel's, pinion's and ip(8)'s own, those for less than eight
// bits, and all that are in place of another.
absl::StatusOr<os::NetlinkSocket> OpenNodeEvents(uint32_t groups);

}  // namespace pinion::network

#endif  // PINION_NETWORK_NODE_ROUTES_H_
