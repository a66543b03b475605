#include "network/addressing.h"

#include <net/if.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

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

absl::StatusOr<IpPrefix> ChooseSubnet(const Options& options,
                                      const IpRange& range,
                                      const std::vector<LinkAddress>& parent) {
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpPrefix> configured,
                             ipam::ParsePrefixPerFamily(options.subnet),
                             "network.subnet");
  if (const auto subnet = OfFamily(configured, range.family())) {
    if (Covers(*subnet, range)) return *subnet;
    return absl::InvalidArgumentError(
        absl::StrCat("network.subnet: the range ", range.name(),
                     " is not within ", subnet->ToString()));
  }
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

absl::Status ChooseNode(const Options& options,
                        const std::vector<LinkAddress>& parent,
                        FamilyPlan& plan) {
  if (!options.host_link) return absl::OkStatus();
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpAddress> configured,
                             ipam::ParseAddressPerFamily(options.node_address),
                             "network.node_address");
  const Family family = plan.range.family();
  plan.node = OfFamily(configured, family);
  if (plan.node) {
    plan.node_on_host_link = true;
    for (const LinkAddress& address : parent) {
      if (address.address == *plan.node) plan.node_on_host_link = false;
    }
  } else if (const auto address = ParentAddress(parent, family, plan.subnet)) {
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

absl::StatusOr<FamilyPlan> PlanFamily(const Options& options,
                                      const IpRange& range,
                                      const std::vector<LinkAddress>& parent) {
  PINION_ASSIGN_OR_RETURN(const IpPrefix subnet,
                          ChooseSubnet(options, range, parent));
  FamilyPlan plan{.range = range, .subnet = subnet};
  plan.range.ExcludeReserved(subnet);
  // In a larger subnet these two are addresses as any other, but software
  // that takes x.y.z.0 for a network's is common, and addresses are not
  // scarce. Who wants them writes "first-last".
  if (const auto prefixes = RangePrefixes(range); prefixes.size() == 1) {
    plan.range.ExcludeReserved(prefixes.front());
  }
  PINION_RETURN_IF_ERROR(ApplyExclusions(options, plan.range));
  for (const LinkAddress& address : parent) plan.range.Exclude(address.address);

  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpAddress> gateways,
                             ipam::ParseAddressPerFamily(options.gateway),
                             "network.gateway");
  plan.gateway = OfFamily(gateways, range.family());
  if (plan.gateway) {
    if (!subnet.Contains(*plan.gateway)) {
      return absl::InvalidArgumentError(
          absl::StrCat("network.gateway: ", plan.gateway->ToString(),
                       " is not within the subnet ", subnet.ToString()));
    }
    plan.range.Exclude(*plan.gateway);
  }
  PINION_RETURN_IF_ERROR(ChooseNode(options, parent, plan));

  PINION_ASSIGN_OR_RETURN_AS(const std::vector<IpPrefix> services,
                             ipam::ParsePrefixPerFamily(options.service_cidr),
                             "network.service_cidr");
  plan.services = OfFamily(services, range.family());
  if (plan.services && (plan.services->Contains(range.first()) ||
                        range.Contains(plan.services->network()))) {
    return absl::InvalidArgumentError(
        absl::StrCat("network.service_cidr: ", plan.services->ToString(),
                     " and the pods' range ", range.name(), " overlap"));
  }
  if (plan.range.usable() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the range ", range.name(),
        " has no address left for pods, after network, broadcast, node, "
        "gateway and excluded addresses"));
  }
  return plan;
}

absl::Status CheckName(const std::string& option, const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == ".." ||
      name.find_first_of("/: \t\n") != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, ": \"", name,
                     "\" is no name of a network device (1 to 15 bytes)"));
  }
  return absl::OkStatus();
}

}  // namespace

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
    PINION_ASSIGN_OR_RETURN(
        IpRange range, IpRange::Parse(std::string(part.data(), part.size())));
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

namespace {

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
  return CheckName("network.interface_name", options.interface_name);
}

}  // namespace

absl::StatusOr<std::vector<FamilyPlan>> PlanAddresses(
    const Options& options, const std::vector<IpRange>& ranges,
    const std::vector<LinkAddress>& parent_addresses) {
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
  if (options.parent != kAutoParent) {
    PINION_RETURN_IF_ERROR(CheckName("network.parent", options.parent));
  }
  PINION_RETURN_IF_ERROR(
      CheckName("network.host_link_name", options.host_link_name));
  PINION_RETURN_IF_ERROR(
      CheckName("network.interface_name", options.interface_name));
  if (options.parent == options.host_link_name ||
      AutoParentName(options.host_link_name) == options.host_link_name ||
      AutoParentPeerName(options.host_link_name) == options.host_link_name) {
    return absl::InvalidArgumentError(
        absl::StrCat("network.host_link_name: \"", options.host_link_name,
                     "\" is the parent's name, too"));
  }
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
    if (options.parent == kAutoParent) {
      return PlanAddresses(options, ranges, {}).status();
    }
  }
  IpRange scratch = *IpRange::Parse("0.0.0.0/0");
  PINION_RETURN_IF_ERROR(ApplyExclusions(options, scratch));
  PINION_RETURN_IF_ERROR_AS(ipam::ParsePrefixPerFamily(options.subnet).status(),
                            "network.subnet");
  PINION_RETURN_IF_ERROR_AS(
      ipam::ParsePrefixPerFamily(options.service_cidr).status(),
      "network.service_cidr");
  PINION_RETURN_IF_ERROR_AS(
      ipam::ParseAddressPerFamily(options.gateway).status(), "network.gateway");
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
