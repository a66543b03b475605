// Who gets which address: from options, the range and the parent's addresses
// to a plan per family.
//
// Pure functions.

#ifndef PINION_NETWORK_ADDRESSING_H_
#define PINION_NETWORK_ADDRESSING_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ipam/ip_address.h"
#include "ipam/ip_range.h"
#include "network/options.h"
#include "network/rtnl.h"

namespace pinion::network {

// One family's part of a pod network.
struct FamilyPlan {
  ipam::IpRange range;    // without what no pod may have
  ipam::IpPrefix subnet;  // its length is the pods' prefix length
  // How pods reach the node; nullopt without a host link.
  std::optional<ipam::IpAddress> node = std::nullopt;
  // The node's address is nowhere else: the host link has it.
  bool node_on_host_link = false;
  // What pods that run have as the node's, from an earlier start; nullopt:
  // none has.
  std::optional<MacAddress> node_mac = std::nullopt;
  // nullopt: the node.
  std::optional<ipam::IpAddress> gateway = std::nullopt;
  std::optional<ipam::IpPrefix> services = std::nullopt;

  friend bool operator==(const FamilyPlan&, const FamilyPlan&) = default;
};

// One or two ranges, one a family: CIDRs or "first-last", comma-separated, of
// addresses that pods can have (CheckPodRange). InvalidArgument says what is
// wrong with it.
absl::StatusOr<std::vector<ipam::IpRange>> ParseRanges(const std::string& text);

// Whether they have an address in common, whatever pods may have of it.
bool Overlap(const ipam::IpRange& a, const ipam::IpRange& b);

// Plans for `ranges` (not empty). InvalidArgument if something does not fit
// together; the message names the option.
absl::StatusOr<std::vector<FamilyPlan>> PlanAddresses(
    const Options& options, const std::vector<ipam::IpRange>& ranges,
    const std::vector<LinkAddress>& parent_addresses);

// What can be known to be wrong without the parent: names, MTU, syntax, and
// what of a plan fails whatever addresses the parent has.
absl::Status CheckOptions(const Options& options);

// The fewest prefixes that make up a range, for routes. Of a prefix larger
// than the window: that prefix.
std::vector<ipam::IpPrefix> RangePrefixes(const ipam::IpRange& range);

}  // namespace pinion::network

#endif  // PINION_NETWORK_ADDRESSING_H_
