// network.mode = "none": pods have loopback and no address.
//
// Thread-safe.

#ifndef PINION_NETWORK_NONE_NETWORK_H_
#define PINION_NETWORK_NONE_NETWORK_H_

#include <string>
#include <vector>

#include "network/pod_network.h"

namespace pinion::network {

class NoneNetwork : public PodNetwork {
 public:
  absl::StatusOr<PodAddresses> Attach(const AttachRequest& request) override;
  absl::Status Detach(const std::string& pod_id) override;
  Readiness GetReadiness() const override;
  // Checked and left aside.
  absl::Status SetPodCidr(const std::string& pod_cidr) override;
  absl::Status Reconcile(const std::vector<KnownPod>& pods) override;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_NONE_NETWORK_H_
