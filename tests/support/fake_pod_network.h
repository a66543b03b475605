// A PodNetwork without a network: addresses are numbers of a list.
//
// Thread-safe, but for the public fields, which are set before other threads
// use it.

#ifndef PINION_TESTS_SUPPORT_FAKE_POD_NETWORK_H_
#define PINION_TESTS_SUPPORT_FAKE_POD_NETWORK_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "network/pod_network.h"

namespace pinion::testing_support {

class FakePodNetwork : public network::PodNetwork {
 public:
  network::Readiness readiness{true, "", ""};
  absl::Status cidr_status;
  absl::Status detach_status;

  absl::StatusOr<network::PodAddresses> Attach(
      const network::AttachRequest& request) override {
    const absl::MutexLock lock(&mutex_);
    const auto [lease, added] =
        leases_.emplace(request.pod_id, static_cast<int>(leases_.size()) + 2);
    network::PodAddresses addresses;
    addresses.ip = absl::StrCat("10.88.0.", lease->second);
    addresses.interface_name = "eth0";
    return addresses;
  }
  absl::Status Detach(const std::string& pod_id) override {
    const absl::MutexLock lock(&mutex_);
    if (detach_status.ok()) leases_.erase(pod_id);
    return detach_status;
  }
  network::Readiness GetReadiness() const override { return readiness; }
  absl::Status SetPodCidr(const std::string& pod_cidr) override {
    const absl::MutexLock lock(&mutex_);
    if (!cidr_status.ok()) return cidr_status;
    pod_cidr_ = pod_cidr;
    return absl::OkStatus();
  }
  absl::Status Reconcile(const std::vector<network::KnownPod>&) override {
    return absl::OkStatus();
  }

  std::string pod_cidr() const {
    const absl::MutexLock lock(&mutex_);
    return pod_cidr_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, int> leases_ ABSL_GUARDED_BY(mutex_);
  std::string pod_cidr_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_FAKE_POD_NETWORK_H_
