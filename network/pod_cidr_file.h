// The PodCIDR outlives a restart of the daemon: the kubelet tells it once. In a
// file beside the pools, on tmpfs: after a reboot it tells it again.
//
// Stateless.

#ifndef PINION_NETWORK_POD_CIDR_FILE_H_
#define PINION_NETWORK_POD_CIDR_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "network/options.h"

namespace pinion::network {

absl::Status RememberPodCidr(const Options& options,
                             const std::string& pod_cidr);
// Empty: none.
std::string RememberedPodCidr(const Options& options);

}  // namespace pinion::network

#endif  // PINION_NETWORK_POD_CIDR_FILE_H_
