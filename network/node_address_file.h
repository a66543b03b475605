// By which address the pods of a range know the node, and by which MAC. They
// keep both for life, as default route and as neighbour entry, so these outlive
// a restart of the daemon while one of them is there, whatever would be chosen
// by then: in a file beside the pool, like that on tmpfs.
//
// Stateless.

#ifndef PINION_NETWORK_NODE_ADDRESS_FILE_H_
#define PINION_NETWORK_NODE_ADDRESS_FILE_H_

#include <optional>

#include "absl/status/status.h"
#include "ipam/ip_address.h"
#include "ipam/ip_range.h"
#include "network/addressing.h"
#include "network/options.h"

namespace pinion::network {

struct NodeAddress {
  ipam::IpAddress address;
  bool on_host_link = false;  // as FamilyPlan has it
  // nullopt: written by a version that did not.
  std::optional<MacAddress> mac = std::nullopt;
};

// `mac`: HostLinkMac.
absl::Status RememberNodeAddress(const Options& options, const FamilyPlan& plan,
                                 const MacAddress& mac);
// nullopt: none, or no pod has an address of the range any more.
std::optional<NodeAddress> RememberedNodeAddress(const Options& options,
                                                 const ipam::IpRange& range);

}  // namespace pinion::network

#endif  // PINION_NETWORK_NODE_ADDRESS_FILE_H_
