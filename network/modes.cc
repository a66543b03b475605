#include "network/modes.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "network/addressing.h"

namespace pinion::network {
namespace {

using Mode = Options::Mode;

bool StandsOnParent(Mode mode) {
  return mode == Mode::kMacvlan || mode == Mode::kIpvlan;
}

bool HasPools(Mode mode) {
  return StandsOnParent(mode) || mode == Mode::kBridge;
}

}  // namespace

const char* ModeText(Mode mode) {
  switch (mode) {
    case Mode::kMacvlan:
      break;
    case Mode::kIpvlan:
      return "ipvlan";
    case Mode::kBridge:
      return "bridge";
    case Mode::kNone:
      return "none";
    case Mode::kCni:
      return "cni";
  }
  return "macvlan";
}

bool IsEnabled(const Options& options, Mode mode) {
  return options.mode == mode ||
         std::count(options.modes.begin(), options.modes.end(), mode) != 0;
}

bool UsesParent(const Options& options) {
  return IsEnabled(options, Mode::kMacvlan) ||
         IsEnabled(options, Mode::kIpvlan);
}

std::vector<Mode> EnabledModes(const Options& options) {
  std::vector<Mode> modes = {options.mode};
  for (const Mode mode : options.modes) {
    if (std::count(modes.begin(), modes.end(), mode) == 0) {
      modes.push_back(mode);
    }
  }
  return modes;
}

Options OptionsFor(const Options& options, Mode mode) {
  Options result = options;
  result.mode = mode;
  result.modes = {};
  if (mode != Mode::kBridge) return result;
  const bool shared = UsesParent(options);
  if (shared || !options.bridge_range.empty()) {
    result.range = options.bridge_range;
  }
  if (shared) {
    result.subnet = "";
    result.gateway = "";
    result.node_address = "";
    result.host_link = true;
  }
  return result;
}

absl::Status CheckApart(const std::string& one, const std::string& other) {
  PINION_ASSIGN_OR_RETURN(const auto ours, ParseRanges(one));
  PINION_ASSIGN_OR_RETURN(const auto theirs, ParseRanges(other));
  for (const ipam::IpRange& a : ours) {
    for (const ipam::IpRange& b : theirs) {
      if (!Overlap(a, b)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("the ranges ", a.name(), " and ", b.name(),
                       " overlap: each network needs one of its own"));
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> RangesBesidePodCidr(const Options& options) {
  std::vector<std::string> taken;
  if (!HasPools(options.mode) ||
      !OptionsFor(options, options.mode).range.empty()) {
    return taken;
  }
  for (const Mode mode : EnabledModes(options)) {
    if (mode == options.mode || !HasPools(mode)) continue;
    const Options own = OptionsFor(options, mode);
    taken.push_back(own.range);
    if (!own.subnet.empty()) taken.push_back(own.subnet);
  }
  if (!StandsOnParent(options.mode)) return taken;
  for (const auto& [name, network] : options.secondary) {
    if (network.parent == options.parent && network.vlan == 0 &&
        !network.range.empty()) {
      taken.push_back(network.range);
    }
  }
  return taken;
}

absl::Status CheckModes(const Options& options) {
  const std::vector<Mode> modes = EnabledModes(options);
  for (const Mode mode : modes) {
    const Options own = OptionsFor(options, mode);
    PINION_RETURN_IF_ERROR(CheckOptions(own));
    // The PodCIDR is the first one's.
    if (mode != options.mode && HasPools(mode) && own.range.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "network.modes: ", ModeText(mode), " needs a range of its own: ",
          mode == Mode::kBridge ? "network.bridge_range" : "network.range"));
    }
  }
  if (IsEnabled(options, Mode::kMacvlan) && IsEnabled(options, Mode::kIpvlan)) {
    return absl::InvalidArgumentError(
        "network.modes: macvlan and ipvlan exclude each other on one "
        "network.parent");
  }
  if (!UsesParent(options) || !IsEnabled(options, Mode::kBridge)) {
    return absl::OkStatus();
  }
  if (options.bridge_name == options.host_link_name) {
    return absl::InvalidArgumentError(
        "network.bridge_name: is the host link's name, too");
  }
  if (options.bridge_range.empty()) return absl::OkStatus();
  // For pods on the parent all of their subnet is on the link.
  for (const std::string& parents : {options.range, options.subnet}) {
    if (parents.empty()) continue;
    PINION_RETURN_IF_ERROR(CheckApart(parents, options.bridge_range));
  }
  return absl::OkStatus();
}

}  // namespace pinion::network
