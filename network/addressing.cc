#include "network/addressing.h"

#include <net/if.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "network/device_name.h"
#include "network/pod_range.h"

namespace pinion::network {
namespace {

using ipam::Family;
using ipam::FamilyName;
using ipam::IpAddress;
using ipam::IpPrefix;
using ipam::IpRange;

// The value of this family, if there is one.
template <typename T>
std::optional<T> OfFamily(const std::vector<T>& values, Family family) {
  for (const T& value : values) {
    if (value.family() == family) return value;
  }
  return std::nullopt;
}

// The parent's address for a family: one inside the subnet if there is one,
// otherwise its first.
std::optional<LinkAddress> ParentAddress(
    const std::vector<LinkAddress>& addresses, Family family,
    const std::optional<IpPrefix>& subnet) {
  std::optional<LinkAddress> first;
  for (const LinkAddress& candidate : addresses) {
    if (!candidate.global || candidate.secondary ||
        candidate.address.family() != family) {
      continue;
    }
    if (subnet && subnet->Contains(candidate.address)) return candidate;
    if (!first) first = candidate;
  }
  return first;
}

// Whether all of the range lies in the prefix.
bool Covers(const IpPrefix& prefix, const IpRange& range) {
  return prefix.Contains(range.first()) && prefix.Contains(range.last());
}

// nullopt: the parent's, or the range.
absl::StatusOr<std::optional<IpPrefix>> ConfiguredSubnet(const Options& options,
                                                         const IpRange& range) {
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpPrefix> configured,
                             ipam::ParsePrefixPerFamily(options.subnet),
                             "network.subnet");
  const auto subnet = OfFamily(configured, range.family());
  if (!subnet || Covers(*subnet, range)) return subnet;
  return absl::InvalidArgumentError(
      absl::StrCat("network.subnet: the range ", range.name(),
                   " is not within ", subnet->ToString()));
}

absl::StatusOr<IpPrefix> ChooseSubnet(const Options& options,
                                      const IpRange& range,
                                      const std::vector<LinkAddress>& parent) {
  PINION_ASSIGN_OR_RETURN(const std::optional<IpPrefix> configured,
                          ConfiguredSubnet(options, range));
  if (configured) return *configured;
  for (const LinkAddress& address : parent) {
    if (address.address.family() != range.family() || !address.global) continue;
    const IpPrefix on_parent =
        IpPrefix::Around(address.address, address.prefix_length);
    if (Covers(on_parent, range)) return on_parent;
  }
  const std::vector<IpPrefix> prefixes = RangePrefixes(range);
  if (prefixes.size() == 1) return prefixes.front();
  return absl::InvalidArgumentError(absl::StrCat(
      "network.subnet is needed: the range ", range.name(), " is no CIDR"));
}

// nullopt: the node. `subnet` nullopt: not known yet.
absl::StatusOr<std::optional<IpAddress>> ChooseGateway(
    const Options& options, Family family,
    const std::optional<IpPrefix>& subnet) {
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpAddress> gateways,
                             ipam::ParseAddressPerFamily(options.gateway),
                             "network.gateway");
  const std::optional<IpAddress> gateway = OfFamily(gateways, family);
  if (!gateway) return gateway;
  PINION_RETURN_IF_ERROR_AS(CheckHostAddress(*gateway), "network.gateway");
  if (!subnet) return gateway;
  const auto wrong = [&](const char* how) {
    return absl::InvalidArgumentError(
        absl::StrCat("network.gateway: ", gateway->ToString(), how,
                     " the subnet ", subnet->ToString()));
  };
  if (!subnet->Contains(*gateway)) return wrong(" is not within");
  // IPv6's first is the subnet's routers'.
  if (gateway->is_v4() && subnet->length() < 31) {
    if (*gateway == subnet->network())
      return wrong(" is the network itself of");
    if (*gateway == subnet->Last())
      return wrong(" is the broadcast address of");
  }
  return gateway;
}

absl::StatusOr<std::optional<IpPrefix>> ChooseServices(const Options& options,
                                                       const IpRange& range) {
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpPrefix> all,
                             ipam::ParsePrefixPerFamily(options.service_cidr),
                             "network.service_cidr");
  const std::optional<IpPrefix> services = OfFamily(all, range.family());
  if (services && (services->Contains(range.first()) ||
                   (range.first() <= services->network() &&
                    services->network() <= range.last()))) {
    return absl::InvalidArgumentError(
        absl::StrCat("network.service_cidr: ", services->ToString(),
                     " and the pods' range ", range.name(), " overlap"));
  }
  return services;
}

absl::Status ChooseNode(const Options& options,
                        const std::vector<LinkAddress>& parent,
                        FamilyPlan& plan) {
  if (!options.host_link) return absl::OkStatus();
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpAddress> configured,
                             ipam::ParseAddressPerFamily(options.node_address),
                             "network.node_address");
  const Family family = plan.range.family();
  const bool ipvlan = options.mode == Options::Mode::kIpvlan;
  plan.node = OfFamily(configured, family);
  if (plan.node) {
    plan.node_on_host_link = true;
    for (const LinkAddress& address : parent) {
      if (address.address == *plan.node) plan.node_on_host_link = false;
    }
    if (ipvlan && !plan.node_on_host_link) {
      return absl::InvalidArgumentError(absl::StrCat(
          "network.node_address: in mode ipvlan the host link needs an address "
          "of its own, and ",
          plan.node->ToString(), " is the parent's"));
    }
  } else if (const auto address = ParentAddress(parent, family, plan.subnet);
             address && !ipvlan) {
    plan.node = address->address;
  } else {
    plan.node = plan.range.FirstUsable();
    plan.node_on_host_link = true;
  }
  if (plan.node) plan.range.Exclude(*plan.node);
  return absl::OkStatus();
}

absl::Status ApplyExclusions(const Options& options, IpRange& range) {
  for (const std::string& text : options.exclude) {
    PINION_ASSIGN_OR_RETURN_AS(const IpRange excluded, IpRange::Parse(text),
                               "network.exclude");
    range.Exclude(excluded);
  }
  return absl::OkStatus();
}

absl::Status CheckSomeLeft(const IpRange& range) {
  if (range.usable() != 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the range ", range.name(),
      " has no address left for pods, after network, broadcast, node, "
      "gateway and excluded addresses"));
}

// Leaves out what no pod may have, whatever else has an address.
absl::Status ExcludeConfigured(const Options& options,
                               const std::optional<IpPrefix>& subnet,
                               IpRange& range) {
  if (subnet) range.ExcludeReserved(*subnet);
  // In a larger subnet these two are addresses as any other, but software
  // that takes x.y.z.0 for a network's is common, and addresses are not
  // scarce. Who wants them writes "first-last".
  if (const auto prefixes = RangePrefixes(range); prefixes.size() == 1) {
    range.ExcludeReserved(prefixes.front());
  }
  return ApplyExclusions(options, range);
}

absl::StatusOr<FamilyPlan> PlanFamily(const Options& options,
                                      const IpRange& range,
                                      const std::vector<LinkAddress>& parent) {
  PINION_RETURN_IF_ERROR(CheckPodRange(range));
  PINION_ASSIGN_OR_RETURN(const IpPrefix subnet,
                          ChooseSubnet(options, range, parent));
  FamilyPlan plan{.range = range, .subnet = subnet};
  PINION_RETURN_IF_ERROR(ExcludeConfigured(options, subnet, plan.range));
  for (const LinkAddress& address : parent) plan.range.Exclude(address.address);

  PINION_ASSIGN_OR_RETURN(plan.gateway,
                          ChooseGateway(options, range.family(), subnet));
  if (plan.gateway) plan.range.Exclude(*plan.gateway);
  PINION_RETURN_IF_ERROR(ChooseNode(options, parent, plan));
  PINION_ASSIGN_OR_RETURN(plan.services, ChooseServices(options, range));
  PINION_RETURN_IF_ERROR(CheckSomeLeft(plan.range));
  return plan;
}

// What of PlanFamily fails whatever addresses the parent has.
absl::Status CheckFamily(const Options& options, const IpRange& range) {
  PINION_ASSIGN_OR_RETURN(const std::optional<IpPrefix> subnet,
                          ConfiguredSubnet(options, range));
  IpRange left = range;
  PINION_RETURN_IF_ERROR(ExcludeConfigured(options, subnet, left));
  PINION_ASSIGN_OR_RETURN(const std::optional<IpAddress> gateway,
                          ChooseGateway(options, range.family(), subnet));
  if (gateway) left.Exclude(*gateway);
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpAddress> nodes,
                             ipam::ParseAddressPerFamily(options.node_address),
                             "network.node_address");
  std::optional<IpAddress> node = OfFamily(nodes, range.family());
  if (!node && options.mode == Options::Mode::kIpvlan)
    node = left.FirstUsable();
  if (node && options.host_link) left.Exclude(*node);
  PINION_RETURN_IF_ERROR(ChooseServices(options, range).status());
  return CheckSomeLeft(left);
}

}  // namespace

const std::string& NodeLinkName(const Options& options) {
  return options.mode == Options::Mode::kBridge ? options.bridge_name
                                                : options.host_link_name;
}

std::string AutoParentName(const std::string& host_link_name) {
  return absl::StrCat(host_link_name.substr(0, IFNAMSIZ - 3), "-p");
}

std::string AutoParentPeerName(const std::string& host_link_name) {
  return absl::StrCat(host_link_name.substr(0, IFNAMSIZ - 3), "-q");
}

absl::StatusOr<std::vector<IpRange>> ParseRanges(const std::string& text) {
  std::vector<IpRange> ranges;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    part = absl::StripAsciiWhitespace(part);
    const std::string one(part.data(), part.size());
    PINION_ASSIGN_OR_RETURN(IpRange range, IpRange::Parse(one));
    if (one.find_first_of("/-") == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", one, "\" is one address; a range of one is ", one,
                       "/", range.first().bits()));
    }
    PINION_RETURN_IF_ERROR(CheckPodRange(range));
    for (const IpRange& other : ranges) {
      if (other.family() == range.family()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "\"", text, "\" has two ", FamilyName(range.family()), " ranges"));
      }
    }
    ranges.push_back(std::move(range));
  }
  return ranges;
}

bool Overlap(const IpRange& a, const IpRange& b) {
  return a.family() == b.family() && a.first() <= b.last() &&
         b.first() <= a.last();
}

namespace {

// A pod's IPv6 address would be refused by the kernel, without a reason.
absl::Status CheckMtu(const Options& options,
                      const std::vector<IpRange>& ranges) {
  for (const IpRange& range : ranges) {
    if (range.family() != Family::kIpv6 || options.mtu == 0 ||
        options.mtu >= kLeastIpv6Mtu) {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("network.mtu: ", options.mtu, " is less than IPv6 needs, ",
                     kLeastIpv6Mtu, ", and the range has IPv6 addresses"));
  }
  return absl::OkStatus();
}

// A gateway that no pod could have is a mistake, not a wish.
absl::Status CheckGatewayFamilies(const Options& options,
                                  const std::vector<IpRange>& ranges) {
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpAddress> gateways,
                             ipam::ParseAddressPerFamily(options.gateway),
                             "network.gateway");
  for (const IpAddress& gateway : gateways) {
    if (std::none_of(ranges.begin(), ranges.end(), [&](const IpRange& range) {
          return range.family() == gateway.family();
        })) {
      return absl::InvalidArgumentError(absl::StrCat(
          "network.gateway: ", gateway.ToString(), ": network.range has no ",
          FamilyName(gateway.family()), " addresses"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCniOptions(const Options& options) {
  if (options.cni_bin_dirs.empty()) {
    return absl::InvalidArgumentError("network.cni_bin_dirs: names none");
  }
  if (options.cni_timeout < std::chrono::seconds(1)) {
    return absl::InvalidArgumentError("network.cni_timeout: is less than 1s");
  }
  return Annotate(CheckPodInterfaceName(options.interface_name),
                  "network.interface_name");
}

absl::Status CheckBridgeOptions(const Options& options) {
  PINION_RETURN_IF_ERROR_AS(CheckDeviceName(options.bridge_name),
                            "network.bridge_name");
  if (!options.gateway.empty()) {
    return absl::InvalidArgumentError(
        "network.gateway: in mode bridge the node is the pods' gateway");
  }
  if (!options.host_link) {
    return absl::InvalidArgumentError(
        "network.host_link: mode bridge cannot do without it");
  }
  for (const std::string& text : options.no_masquerade) {
    PINION_RETURN_IF_ERROR_AS(ipam::ParsePrefixPerFamily(text).status(),
                              "network.no_masquerade");
  }
  return absl::OkStatus();
}

absl::Status CheckParentOptions(const Options& options) {
  if (options.parent == "lo") {
    return absl::InvalidArgumentError(
        "network.parent: lo is the loopback, on which there are no other "
        "devices; name a NIC");
  }
  if (options.parent != kAutoParent) {
    PINION_RETURN_IF_ERROR_AS(CheckDeviceName(options.parent),
                              "network.parent");
  }
  PINION_RETURN_IF_ERROR_AS(CheckDeviceName(options.host_link_name),
                            "network.host_link_name");
  if (options.parent == options.host_link_name ||
      AutoParentName(options.host_link_name) == options.host_link_name ||
      AutoParentPeerName(options.host_link_name) == options.host_link_name) {
    return absl::InvalidArgumentError(
        absl::StrCat("network.host_link_name: \"", options.host_link_name,
                     "\" is the parent's name, too"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<FamilyPlan>> PlanAddresses(
    const Options& options, const std::vector<IpRange>& ranges,
    const std::vector<LinkAddress>& parent_addresses) {
  PINION_RETURN_IF_ERROR(CheckMtu(options, ranges));
  std::vector<FamilyPlan> plans;
  for (const IpRange& range : ranges) {
    PINION_ASSIGN_OR_RETURN(FamilyPlan plan,
                            PlanFamily(options, range, parent_addresses));
    plans.push_back(std::move(plan));
  }
  return plans;
}

absl::Status CheckOptions(const Options& options) {
  if (options.mode == Options::Mode::kNone) return absl::OkStatus();
  if (options.mode == Options::Mode::kCni) return CheckCniOptions(options);
  const bool bridge = options.mode == Options::Mode::kBridge;
  PINION_RETURN_IF_ERROR(bridge ? CheckBridgeOptions(options)
                                : CheckParentOptions(options));
  PINION_RETURN_IF_ERROR_AS(CheckPodInterfaceName(options.interface_name),
                            "network.interface_name");
  // IPv4's least MTU (RFC 791) and the largest the kernel takes.
  if (options.mtu != 0 && (options.mtu < 68 || options.mtu > 65535)) {
    return absl::InvalidArgumentError(
        absl::StrCat("network.mtu: ", options.mtu, " is not 68 to 65535"));
  }
  if (options.ipam_dir.empty()) {
    return absl::InvalidArgumentError("the pools need a directory");
  }
  if (options.cool_down.count() < 0) {
    return absl::InvalidArgumentError("network.cool_down is negative");
  }
  // All but the parent's addresses is known: try what can be tried.
  if (!options.range.empty()) {
    PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpRange> ranges,
                               ParseRanges(options.range), "network.range");
    PINION_RETURN_IF_ERROR(CheckGatewayFamilies(options, ranges));
    if (bridge || options.parent == kAutoParent) {
      return PlanAddresses(options, ranges, {}).status();
    }
    for (const IpRange& range : ranges) {
      PINION_RETURN_IF_ERROR(CheckFamily(options, range));
    }
  }
  IpRange scratch = *IpRange::Parse("0.0.0.0/0");
  PINION_RETURN_IF_ERROR(ApplyExclusions(options, scratch));
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpPrefix> subnets,
                             ipam::ParsePrefixPerFamily(options.subnet),
                             "network.subnet");
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpPrefix> services,
                             ipam::ParsePrefixPerFamily(options.service_cidr),
                             "network.service_cidr");
  for (const IpPrefix& prefix : services) {
    if (prefix.length() != 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("network.service_cidr: ", prefix.ToString(),
                     " has every address, the pods' too"));
  }
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    PINION_RETURN_IF_ERROR(
        ChooseGateway(options, family, OfFamily(subnets, family)).status());
  }
  return Annotate(ipam::ParseAddressPerFamily(options.node_address).status(),
                  "network.node_address");
}

std::vector<IpPrefix> RangePrefixes(const IpRange& range) {
  std::vector<IpPrefix> prefixes;
  IpAddress next = range.first();
  for (;;) {
    // The largest prefix that starts here and does not pass the end.
    int length = next.bits();
    while (length > 0) {
      const IpPrefix wider = IpPrefix::Around(next, length - 1);
      if (wider.network() != next || range.last() < wider.Last()) break;
      --length;
    }
    prefixes.push_back(IpPrefix::Around(next, length));
    const IpAddress last = prefixes.back().Last();
    const std::optional<IpAddress> after = last.Plus(1);
    if (last == range.last() || !after) return prefixes;
    next = *after;
  }
}

}  // namespace pinion::network
