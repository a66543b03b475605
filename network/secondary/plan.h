// What the options of further networks mean, and whether they fit together.
//
// Pure functions.

#ifndef PINION_NETWORK_SECONDARY_PLAN_H_
#define PINION_NETWORK_SECONDARY_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ipam/ip_address.h"
#include "network/addressing.h"
#include "network/options.h"

namespace pinion::network {

struct SecondaryRoute {
  ipam::IpPrefix destination;
  // nullopt: on the link.
  std::optional<ipam::IpAddress> via = std::nullopt;
};

// "PREFIX" or "PREFIX via ADDRESS". A default route is refused: it is the
// first interface's.
absl::StatusOr<SecondaryRoute> ParseSecondaryRoute(const std::string& text);

// Those of the options, with the gateway where they name none.
absl::StatusOr<std::vector<SecondaryRoute>> PlanRoutes(
    const SecondaryOptions& network);

// Plans for the network's ranges; none without a range. No node, no default
// gateway, no services. InvalidArgument names the option.
absl::StatusOr<std::vector<FamilyPlan>> PlanSecondary(
    const std::string& name, const SecondaryOptions& network,
    const std::vector<LinkAddress>& parent_addresses);

// All that can be known before a parent is there.
absl::Status CheckSecondaryOptions(const Options& options);

}  // namespace pinion::network

#endif  // PINION_NETWORK_SECONDARY_PLAN_H_
