#include "network/secondary/plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "network/modes.h"
#include "network/secondary/vlan.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;
using ipam::IpPrefix;
using ipam::IpRange;

constexpr size_t kMaxName = 63;  // as a DNS label (RFC 1123)
// 224.0.0.0/4 is one that pods may want; 2000::/3 is all of the Internet.
constexpr int kLeastRouteLength = 4;

// Messages about the first network's options name the same ones of this.
absl::Status OfNetwork(const std::string& name, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(
      status.code(),
      absl::StrReplaceAll(
          status.message(),
          {{"network.", absl::StrCat("network.secondary.", name, ".")}}));
}

absl::Status Wrong(const std::string& name, const std::string& option,
                   const std::string& what) {
  return absl::InvalidArgumentError(
      absl::StrCat("network.secondary.", name, ".", option, ": ", what));
}

// The options of a first network that give the same plans.
absl::StatusOr<Options> AsFirst(const SecondaryOptions& network) {
  Options options;
  options.parent = network.parent;
  options.range = network.range;
  options.subnet = network.subnet;
  options.gateway = network.gateway;
  options.exclude = network.exclude;
  options.mtu = network.mtu;
  options.host_link = false;
  PINION_ASSIGN_OR_RETURN(const std::vector<SecondaryRoute> routes,
                          PlanRoutes(network));
  // Routers are no pods.
  for (const SecondaryRoute& route : routes) {
    if (route.via) options.exclude.push_back(route.via->ToString());
  }
  return options;
}

bool IsNetworkName(const std::string& name) {
  const auto is_edge = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c));
  };
  return !name.empty() && name.size() <= kMaxName && is_edge(name.front()) &&
         is_edge(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_edge(c) || c == '-'; });
}

absl::Status CheckOne(const std::string& name,
                      const SecondaryOptions& network) {
  if (!IsNetworkName(name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "network.secondary: \"", name,
        "\" is no name: it must be of a-z, 0-9 and -, at most 63 bytes"));
  }
  if (network.parent.empty() || network.parent == kAutoParent) {
    return Wrong(name, "parent", "must be a device of the host");
  }
  if (network.vlan > kMaxVlan) {
    return Wrong(name, "vlan", "must be 1 to 4094, or 0 for none");
  }
  PINION_ASSIGN_OR_RETURN_AS(const Options options, AsFirst(network),
                             absl::StrCat("network.secondary.", name));
  PINION_RETURN_IF_ERROR(OfNetwork(name, CheckOptions(options)));
  // A VLAN device of pinion's has no addresses that would count.
  if (network.vlan == 0 && network.subnet.empty()) return absl::OkStatus();
  return PlanSecondary(name, network, {}).status();
}

// Two networks on one wire must not give out the same addresses.
absl::Status CheckDisjoint(const std::string& a_name, const std::string& a_text,
                           const std::string& b_name,
                           const std::string& b_text) {
  if (a_text.empty() || b_text.empty()) return absl::OkStatus();
  PINION_ASSIGN_OR_RETURN(const auto a_ranges, ParseRanges(a_text));
  PINION_ASSIGN_OR_RETURN(const auto b_ranges, ParseRanges(b_text));
  for (const IpRange& a : a_ranges) {
    for (const IpRange& b : b_ranges) {
      if (!Overlap(a, b)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          a_name, " and ", b_name, " are on the same parent and VLAN, and ",
          a.name(), " and ", b.name(), " overlap"));
    }
  }
  return absl::OkStatus();
}

// Its router must be on the link: an address of the subnet, or a link-local
// one, as IPv6's routers have.
absl::Status CheckRouter(const std::string& name, const SecondaryRoute& route,
                         const std::vector<FamilyPlan>& plans) {
  if (!route.via) return absl::OkStatus();
  const IpPrefix link_local = IpPrefix::Around(*IpAddress::Parse("fe80::"), 10);
  for (const FamilyPlan& plan : plans) {
    if (plan.subnet.family() != route.via->family() ||
        plan.subnet.Contains(*route.via) || link_local.Contains(*route.via)) {
      continue;
    }
    return Wrong(
        name, "routes",
        absl::StrCat(route.via->ToString(), " is not within the subnet ",
                     plan.subnet.ToString(),
                     ", so nobody there "
                     "would be asked for it"));
  }
  return absl::OkStatus();
}

// A route to the first interface's subnet, or to addresses of its pods, would
// take the pod's neighbours away from it. To a part of the subnet it may be
// meant.
absl::Status CheckRoutesBesideFirst(const Options& options,
                                    const std::string& name,
                                    const SecondaryOptions& network) {
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<SecondaryRoute> routes,
                             PlanRoutes(network),
                             absl::StrCat("network.secondary.", name));
  const auto check = [&](const std::string& text, bool parts) -> absl::Status {
    if (text.empty()) return absl::OkStatus();
    PINION_ASSIGN_OR_RETURN(const std::vector<IpRange> known,
                            ParseRanges(text));
    for (const IpRange& first : known) {
      for (const SecondaryRoute& route : routes) {
        const IpRange to(route.destination);
        const bool same =
            to.first() == first.first() && to.last() == first.last();
        const bool within =
            first.first() <= to.first() && to.last() <= first.last();
        if (!same && !(parts && within)) continue;
        return Wrong(name, "routes",
                     absl::StrCat(to.name(), " is of ", first.name(),
                                  ", the first interface's addresses"));
      }
    }
    return absl::OkStatus();
  };
  for (const Options::Mode mode :
       {Options::Mode::kMacvlan, Options::Mode::kIpvlan,
        Options::Mode::kBridge}) {
    if (!IsEnabled(options, mode)) continue;
    const Options first = OptionsFor(options, mode);
    PINION_RETURN_IF_ERROR(check(first.range, true));
    PINION_RETURN_IF_ERROR(check(first.subnet, false));
  }
  return absl::OkStatus();
}

absl::Status CheckTogether(const Options& options) {
  std::map<std::string, std::pair<std::string, uint32_t>> devices;
  for (auto a = options.secondary.begin(); a != options.secondary.end(); ++a) {
    const auto& [name, network] = *a;
    const std::string full = absl::StrCat("network.secondary.", name, ".range");
    if (IsEnabled(options, Options::Mode::kMacvlan) && network.vlan == 0 &&
        network.parent == options.parent) {
      PINION_RETURN_IF_ERROR(
          CheckDisjoint(full, network.range, "network.range", options.range));
    }
    // The packets of one device go to macvlans or to ipvlans.
    if (IsEnabled(options, Options::Mode::kIpvlan) && network.vlan == 0 &&
        network.parent == options.parent) {
      return Wrong(name, "parent",
                   absl::StrCat(network.parent,
                                " is network.parent, which mode ipvlan must "
                                "have to itself; a VLAN of it may be had"));
    }
    for (auto b = std::next(a); b != options.secondary.end(); ++b) {
      if (b->second.parent != network.parent ||
          b->second.vlan != network.vlan) {
        continue;
      }
      PINION_RETURN_IF_ERROR(
          CheckDisjoint(full, network.range,
                        absl::StrCat("network.secondary.", b->first, ".range"),
                        b->second.range));
    }
    if (network.vlan == 0) continue;
    const std::pair vlan(network.parent, network.vlan);
    const auto [device, added] = devices.emplace(
        VlanDeviceName(NodeLinkName(options), network.parent, network.vlan),
        vlan);
    if (!added && device->second != vlan) {
      return Wrong(name, "parent",
                   absl::StrCat("VLAN devices of ", network.parent, " and ",
                                device->second.first,
                                " would have one name; change "
                                "network.host_link_name"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SecondaryRoute> ParseSecondaryRoute(const std::string& text) {
  constexpr absl::string_view kVia = " via ";
  SecondaryRoute route;
  const size_t via = text.find(kVia.data());
  PINION_ASSIGN_OR_RETURN(route.destination,
                          IpPrefix::Parse(text.substr(0, via)));
  if (route.destination.length() < kLeastRouteLength) {
    return absl::InvalidArgumentError(
        absl::StrCat(route.destination.ToString(),
                     " is all, or a large part of it: the default route is "
                     "the first interface's"));
  }
  if (via == std::string::npos) return route;
  PINION_ASSIGN_OR_RETURN(route.via,
                          IpAddress::Parse(text.substr(via + kVia.size())));
  if (route.via->family() != route.destination.family()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" mixes IPv4 and IPv6"));
  }
  return route;
}

absl::StatusOr<std::vector<SecondaryRoute>> PlanRoutes(
    const SecondaryOptions& network) {
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpAddress> gateways,
                             ipam::ParseAddressPerFamily(network.gateway),
                             "gateway");
  std::vector<SecondaryRoute> routes;
  for (const std::string& text : network.routes) {
    PINION_ASSIGN_OR_RETURN_AS(SecondaryRoute route, ParseSecondaryRoute(text),
                               "routes");
    for (const IpAddress& gateway : gateways) {
      if (!route.via && gateway.family() == route.destination.family()) {
        route.via = gateway;
      }
    }
    routes.push_back(std::move(route));
  }
  return routes;
}

absl::StatusOr<std::vector<FamilyPlan>> PlanSecondary(
    const std::string& name, const SecondaryOptions& network,
    const std::vector<LinkAddress>& parent_addresses) {
  if (network.range.empty()) return std::vector<FamilyPlan>();
  PINION_ASSIGN_OR_RETURN_AS(const Options options, AsFirst(network),
                             absl::StrCat("network.secondary.", name));
  PINION_ASSIGN_OR_RETURN_AS(
      const std::vector<IpRange> ranges, ParseRanges(network.range),
      absl::StrCat("network.secondary.", name, ".range"));
  absl::StatusOr<std::vector<FamilyPlan>> plans =
      PlanAddresses(options, ranges, parent_addresses);
  if (!plans.ok()) return OfNetwork(name, plans.status());
  PINION_ASSIGN_OR_RETURN(const std::vector<SecondaryRoute> routes,
                          PlanRoutes(network));
  for (const SecondaryRoute& route : routes) {
    PINION_RETURN_IF_ERROR(CheckRouter(name, route, *plans));
  }
  // Only its routes know it.
  for (FamilyPlan& plan : *plans) plan.gateway.reset();
  return plans;
}

absl::Status CheckSecondaryOptions(const Options& options) {
  // What stands on those passes the bridge's guard by, and goes with them.
  const std::set<std::string> own = {
      options.host_link_name, options.bridge_name,
      AutoParentName(options.host_link_name),
      AutoParentPeerName(options.host_link_name)};
  for (const auto& [name, network] : options.secondary) {
    if (own.count(network.parent) != 0) {
      return Wrong(name, "parent", "must not be a device of pinion's own");
    }
    PINION_RETURN_IF_ERROR(CheckOne(name, network));
    PINION_RETURN_IF_ERROR(CheckRoutesBesideFirst(options, name, network));
  }
  return CheckTogether(options);
}

}  // namespace pinion::network
