// What a pod asks of its node's network, by annotations:
//
//   network.pinion.dev/mode: "bridge"
//   network.pinion.dev/networks: "storage, ran@fronthaul0=10.2.0.7+fd02::7"
//
// Its first interface's mode, and further interfaces: comma-separated, each
// NETWORK[@INTERFACE][=ADDRESS[+ADDRESS]]. Without an interface's name it is
// net1, net2, …, by the place in the list.
//
// Pure; thread-safe.

#ifndef PINION_RUNTIME_NETWORK_REQUEST_H_
#define PINION_RUNTIME_NETWORK_REQUEST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "network/pod_network.h"
#include "os/network_namespace.h"
#include "state.pb.h"

namespace pinion::runtime {

inline constexpr char kModeAnnotation[] = "network.pinion.dev/mode";

// More would be a mistake.
inline constexpr size_t kMaxNetworks = 32;

// InvalidArgument if the text is not of this form. What networks there are
// and which addresses they have is for PodNetwork::CheckSecondary.
absl::StatusOr<std::vector<network::SecondaryRequest>> ParseNetworks(
    const std::string& text);

// Those of the pod's annotation; none without it. InvalidArgument also if the
// pod has the node's network.
absl::StatusOr<std::vector<network::SecondaryRequest>> NetworksOf(
    const state::PodSpec& spec);

// The mode; empty: the node's. Which ones there are is for
// PodNetwork::CheckMode.
inline std::string NetworkModeOf(const state::PodSpec& spec) {
  const auto found = spec.annotations().find(kModeAnnotation);
  return found == spec.annotations().end() ? "" : found->second;
}

// How the network wants a pod's namespace to be made, in that mode.
inline os::RouterAdvertisements AdvertisementsFor(
    const network::PodNetwork& network, const std::string& mode) {
  return network.HeedsRouters(mode) ? os::RouterAdvertisements::kHeeded
                                    : os::RouterAdvertisements::kIgnored;
}

// Whether the node's network can give the pod what it asks for.
// InvalidArgument also if another annotation has this prefix: who misspells
// one would have a pod on other networks than meant.
absl::Status CheckNetworkRequest(const state::PodSpec& spec,
                                 const network::PodNetwork& network);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_NETWORK_REQUEST_H_
