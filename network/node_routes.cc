#include "network/node_routes.h"

#include <arpa/inet.h>
#include <stddef.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/socket_filter.h"

namespace pinion::network {
namespace {

using ipam::IpPrefix;

// Shorter ones may be the way out (IsForwardingChange).
constexpr uint32_t kShortestLeftOut = 8;

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
  // A longer prefix counts more than the range's routes do.
  const bool whole = route.spec.destination.Contains(plan.range.first()) &&
                     route.spec.destination.Contains(plan.range.last());
  return absl::InvalidArgumentError(absl::StrCat(
      "the range ", plan.range.name(), " has the network ",
      route.spec.destination.ToString(), " of ", name, " in it, ",
      whole ? "from which this node would be cut off: choose a range beside "
              "it, or FIRST-LAST"
            : "where this node would look for pods with its addresses: leave "
              "it out (network.exclude), or choose a range beside it, or "
              "FIRST-LAST"));
}

// Whether a pod may get an address of a network within the range.
bool HasPods(const ipam::IpRange& range, const IpPrefix& network) {
  const std::optional<uint64_t> first = range.IndexOf(network.network());
  if (!first) return false;
  for (uint64_t i = *first; i < range.size(); ++i) {
    if (!network.Contains(range.At(i))) return false;
    if (range.IsUsable(i)) return true;
  }
  return false;
}

// One address, such as an IPv6 one on "lo", is no network: of IPv4 the kernel
// has no such route.
bool Hides(const FamilyPlan& plan, const ListedRoute& route,
           const Link& parent) {
  const IpPrefix& destination = route.spec.destination;
  return route.protocol == RTPROT_KERNEL &&
         route.spec.link_index != parent.index &&
         destination.length() != destination.network().bits() &&
         HasPods(plan.range, destination);
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
      if (Hides(*plan, route, parent)) hidden.emplace_back(plan, route);
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

bool IsNodeRouteLoss(const os::NetlinkMessage& message, int node_link,
                     const std::vector<FamilyPlan>& plans) {
  if (message.type() == RTM_DELADDR) {
    const auto address = ParseAddressChange(message);
    return address && address->link_index == node_link;
  }
  const auto route = ParseRoute(message);
  if (!route) return false;
  const bool on_node_link = route->spec.link_index == node_link;
  if (message.type() == RTM_DELROUTE) {
    return route->protocol == kRouteProtocol && on_node_link;
  }
  const IpPrefix& destination = route->spec.destination;
  return !on_node_link && route->table == RT_TABLE_MAIN &&
         std::any_of(plans.begin(), plans.end(),
                     [&destination](const FamilyPlan& plan) {
                       return plan.range.first() <= destination.network() &&
                              destination.Last() <= plan.range.last();
                     });
}

absl::StatusOr<os::NetlinkSocket> OpenNodeEvents(uint32_t groups) {
  PINION_ASSIGN_OR_RETURN(os::NetlinkSocket events,
                          os::NetlinkSocket::Open(groups));
  os::EnlargeQueue(events.fd(), 8 << 20);
  // A datagram has one message. Loads are in network order (linux/filter.h),
  // the header's numbers are the machine's. Past the end of a message, as of
  // one that has no rtmsg, it is dropped: no route's is that short.
  constexpr auto kOfRoute = [](size_t field) {
    return static_cast<uint32_t>(NLMSG_HDRLEN + field);
  };
  const std::array<sock_filter, 13> filter = {{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 9),
      // It is in place of another one, which nothing else tells.
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_flags)),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htons(NLM_F_REPLACE), 7, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
               kOfRoute(offsetof(rtmsg, rtm_dst_len))),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, kShortestLeftOut - 1, 0, 5),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
               kOfRoute(offsetof(rtmsg, rtm_protocol))),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kRouteProtocol, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTPROT_KERNEL, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTPROT_BOOT, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  }};
  PINION_RETURN_IF_ERROR_AS(os::AttachFilter(events.fd(), filter),
                            "listen to the node's routes");
  return events;
}

}  // namespace pinion::network
