// Several modes on one node: what each is to be made of.
//
// Pure functions.

#ifndef PINION_NETWORK_MODES_H_
#define PINION_NETWORK_MODES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "network/options.h"

namespace pinion::network {

// As the configuration and annotations write it.
const char* ModeText(Options::Mode mode);

// As network.mode or among network.modes.
bool IsEnabled(const Options& options, Options::Mode mode);

// Whether pods' interfaces may stand on network.parent.
bool UsesParent(const Options& options);

// network.mode first, then network.modes, each once.
std::vector<Options::Mode> EnabledModes(const Options& options);

// The options of one of the enabled modes, as if it were the only one. Where
// macvlan or ipvlan is enabled beside bridge, `range`, `subnet`, `gateway` and
// `node_address` are its own and `bridge_range` is the bridge's.
Options OptionsFor(const Options& options, Options::Mode mode);

// Whether the enabled modes go together: each but network.mode, which may wait
// for the PodCIDR, needs a range; no two may have addresses in common, or a
// device's name. InvalidArgument.
absl::Status CheckModes(const Options& options);

// What the PodCIDR must leave alone where it counts: the other modes' ranges
// and subnets, and the ranges of further networks on the same wire.
std::vector<std::string> RangesBesidePodCidr(const Options& options);

// InvalidArgument if two texts of ranges (ParseRanges) have an address in
// common.
absl::Status CheckApart(const std::string& one, const std::string& other);

}  // namespace pinion::network

#endif  // PINION_NETWORK_MODES_H_
