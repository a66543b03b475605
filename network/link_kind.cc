#include "network/link_kind.h"

#include <algorithm>

#include "network/bridge_kind.h"
#include "network/ipvlan_kind.h"
#include "network/macvlan_kind.h"

namespace pinion::network {

std::unique_ptr<const LinkKind> LinkKind::Of(const Options& options) {
  if (options.mode == Options::Mode::kBridge) {
    return std::make_unique<BridgeKind>(options);
  }
  if (options.mode == Options::Mode::kIpvlan) {
    return std::make_unique<IpvlanKind>(options);
  }
  return std::make_unique<MacvlanKind>(options);
}

Options LinkKind::WithNodes(Options options,
                            const std::vector<ipam::IpAddress>& nodes) {
  const auto configured = ipam::ParseAddressPerFamily(options.node_address);
  if (!configured.ok()) return options;  // PlanAddresses says so.
  for (const ipam::IpAddress& node : nodes) {
    const bool named = std::any_of(configured->begin(), configured->end(),
                                   [&node](const ipam::IpAddress& other) {
                                     return other.family() == node.family();
                                   });
    if (named) continue;
    if (!options.node_address.empty()) options.node_address += ",";
    options.node_address += node.ToString();
  }
  return options;
}

bool LinkKind::ConcernsNode(const os::NetlinkMessage& message,
                            const Link& parent, int node_link) const {
  (void)message;
  (void)parent;
  (void)node_link;
  return false;
}

absl::StatusOr<std::vector<ipam::IpAddress>> LinkKind::NodeAliases(
    os::NetlinkSocket& host, const Link& parent) const {
  (void)host;
  (void)parent;
  return std::vector<ipam::IpAddress>();
}

}  // namespace pinion::network
