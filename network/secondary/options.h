// [network.secondary.NAME]: networks that pods ask for by annotation, besides
// their first interface (docs/secondary_networks.md).

#ifndef PINION_NETWORK_SECONDARY_OPTIONS_H_
#define PINION_NETWORK_SECONDARY_OPTIONS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "network/rtnl.h"

namespace pinion::network {

struct SecondaryOptions {
  // The host's device; never made by pinion.
  std::string parent = {};
  // 1 to 4094: a VLAN of the parent, on a device that pinion makes. 0: the
  // parent itself.
  uint32_t vlan = 0;
  // This node's addresses of it, as network.range; empty: interfaces have
  // none.
  std::string range = {};
  // As network.subnet.
  std::string subnet = {};
  // Of `routes` that name none of their own. Never a default route.
  std::string gateway = {};
  // "PREFIX" or "PREFIX via ADDRESS".
  std::vector<std::string> routes = {};
  std::vector<std::string> exclude = {};
  // 0: the parent's, which is also the most.
  uint32_t mtu = 0;
  MacvlanMode macvlan_mode = MacvlanMode::kBridge;
};

// By name.
using SecondaryNetworksOptions = std::map<std::string, SecondaryOptions>;

}  // namespace pinion::network

#endif  // PINION_NETWORK_SECONDARY_OPTIONS_H_
