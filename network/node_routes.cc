#include "network/node_routes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::network {
namespace {

using ipam::IpPrefix;

bool SameRoute(const RouteSpec& a, const RouteSpec& b) {
  return a.destination == b.destination && a.source == b.source &&
         a.via == b.via;
}

bool Contains(const std::vector<RouteSpec>& routes, const RouteSpec& route) {
  return std::any_of(
      routes.begin(), routes.end(),
      [&route](const RouteSpec& other) { return SameRoute(route, other); });
}

// Routes that matter for the plans: pinion's over the link, and what others
// have for the same addresses.
struct PresentRoutes {
  std::vector<RouteSpec> own;
  std::vector<IpPrefix> taken;
};

absl::Status HidesNetwork(const FamilyPlan& plan, const ListedRoute& route,
                          const std::vector<Link>& links) {
  std::string name = absl::StrCat("device ", route.spec.link_index);
  for (const Link& link : links) {
    if (link.index == route.spec.link_index) name = link.name;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the range ", plan.range.name(), " has the network ",
      route.spec.destination.ToString(), " of ", name,
      " in it, from which this node would be cut off: choose a range beside "
      "it, or FIRST-LAST"));
}

absl::StatusOr<PresentRoutes> Look(os::NetlinkSocket& socket,
                                   const Link& node_link, const Link& parent,
                                   const std::vector<FamilyPlan>& plans) {
  std::vector<std::pair<IpPrefix, const FamilyPlan*>> wanted;
  for (const FamilyPlan& plan : plans) {
    for (const IpPrefix& prefix : RangePrefixes(plan.range)) {
      wanted.emplace_back(prefix, &plan);
    }
  }
  PresentRoutes present;
  std::vector<std::pair<const FamilyPlan*, ListedRoute>> hidden;
  PINION_RETURN_IF_ERROR(ListRoutes(socket, [&](const ListedRoute& route) {
    const RouteSpec& spec = route.spec;
    if (route.table != RT_TABLE_MAIN) return;
    if (spec.link_index == node_link.index) {
      if (route.protocol == kRouteProtocol) present.own.push_back(spec);
      return;
    }
    for (const auto& [prefix, plan] : wanted) {
      if (!prefix.Contains(spec.destination)) continue;
      present.taken.push_back(spec.destination);
      if (route.protocol == RTPROT_KERNEL && spec.link_index != parent.index) {
        hidden.emplace_back(plan, route);
      }
    }
  }));
  if (hidden.empty()) return present;
  PINION_ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(socket));
  return HidesNetwork(*hidden.front().first, hidden.front().second, links);
}

}  // namespace

std::vector<IpPrefix> WithoutTaken(const IpPrefix& prefix,
                                   const std::vector<IpPrefix>& taken) {
  if (std::find(taken.begin(), taken.end(), prefix) == taken.end()) {
    return {prefix};
  }
  const int longer = prefix.length() + 1;
  if (longer > prefix.network().bits()) return {};
  std::vector<IpPrefix> parts =
      WithoutTaken(IpPrefix::Around(prefix.network(), longer), taken);
  for (const IpPrefix& part :
       WithoutTaken(IpPrefix::Around(prefix.Last(), longer), taken)) {
    parts.push_back(part);
  }
  return parts;
}

absl::StatusOr<NodeRouteChanges> PlanNodeRoutes(
    os::NetlinkSocket& socket, const Link& node_link, const Link& parent,
    const std::vector<FamilyPlan>& plans) {
  PINION_ASSIGN_OR_RETURN(const PresentRoutes present,
                          Look(socket, node_link, parent, plans));
  std::vector<RouteSpec> wanted;
  for (const FamilyPlan& plan : plans) {
    for (const IpPrefix& prefix : RangePrefixes(plan.range)) {
      for (const IpPrefix& part : WithoutTaken(prefix, present.taken)) {
        wanted.push_back({.destination = part,
                          .link_index = node_link.index,
                          .source = plan.node});
      }
    }
  }
  NodeRouteChanges changes;
  for (const RouteSpec& route : present.own) {
    if (!Contains(wanted, route)) changes.superfluous.push_back(route);
  }
  for (const RouteSpec& route : wanted) {
    if (!Contains(present.own, route)) changes.missing.push_back(route);
  }
  return changes;
}

bool IsNodeRouteLoss(const os::NetlinkMessage& message, int node_link) {
  if (message.type() == RTM_DELADDR) {
    const auto address = ParseAddressChange(message);
    return address && address->link_index == node_link;
  }
  if (message.type() != RTM_DELROUTE) return false;
  const auto route = ParseRoute(message);
  return route && route->protocol == kRouteProtocol &&
         route->spec.link_index == node_link;
}

}  // namespace pinion::network
