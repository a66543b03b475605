#include "network/mode_choice.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "network/modes.h"

namespace pinion::network {

PodNetwork* ModeChoice::Find(const std::string& mode) const {
  if (mode.empty()) return modes_.front().network.get();
  for (const Mode& one : modes_) {
    if (one.name == mode) return one.network.get();
  }
  return nullptr;
}

absl::Status ModeChoice::CheckMode(const std::string& mode) const {
  if (Find(mode) != nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("network mode \"", mode, "\" is not enabled on this node (",
                   absl::StrJoin(modes_, ", ",
                                 [](std::string* out, const Mode& one) {
                                   absl::StrAppend(out, one.name);
                                 }),
                   "); see network.modes"));
}

bool ModeChoice::HeedsRouters(const std::string& mode) const {
  const PodNetwork* const network = Find(mode);
  return network != nullptr && network->HeedsRouters(mode);
}

absl::StatusOr<PodAddresses> ModeChoice::Attach(const AttachRequest& request) {
  PINION_RETURN_IF_ERROR(CheckMode(request.mode));
  PINION_RETURN_IF_ERROR(ReserveHostPorts(request));
  absl::StatusOr<PodAddresses> result = Find(request.mode)->Attach(request);
  if (!result.ok()) ReleaseHostPorts(request.pod_id);
  return result;
}

absl::Status ModeChoice::ReserveHostPorts(const AttachRequest& request) {
  if (request.host_ports.empty() || modes_.size() == 1) return absl::OkStatus();
  const absl::MutexLock lock(&ports_mutex_);
  PINION_RETURN_IF_ERROR(
      CheckHostPorts(ports_, request.pod_id, request.host_ports));
  ports_[request.pod_id].ports = request.host_ports;
  return absl::OkStatus();
}

void ModeChoice::ReleaseHostPorts(const std::string& pod_id) {
  const absl::MutexLock lock(&ports_mutex_);
  ports_.erase(pod_id);
}

absl::Status ModeChoice::Detach(const std::string& pod_id) {
  absl::Status result;
  for (const Mode& mode : modes_) result.Update(mode.network->Detach(pod_id));
  // Else a way may still lead to it.
  if (result.ok()) ReleaseHostPorts(pod_id);
  return result;
}

Readiness ModeChoice::GetReadiness() const {
  return modes_.front().network->GetReadiness();
}

absl::Status ModeChoice::SetPodCidr(const std::string& pod_cidr) {
  for (const std::string& range : taken_) {
    if (pod_cidr.empty()) break;
    PINION_RETURN_IF_ERROR_AS(CheckApart(pod_cidr, range), "pod CIDR");
  }
  return modes_.front().network->SetPodCidr(pod_cidr);
}

absl::Status ModeChoice::Reconcile(const std::vector<KnownPod>& pods) {
  if (modes_.size() > 1) {
    const absl::MutexLock lock(&ports_mutex_);
    ports_.clear();
    for (const KnownPod& pod : pods) {
      if (!pod.host_ports.empty()) ports_[pod.pod_id].ports = pod.host_ports;
    }
  }
  absl::Status result;
  for (const Mode& mode : modes_) {
    // All pods are known to all: an address whose range a mode has is its
    // owner's, whatever the owner asks for today. Ports lead by one network.
    std::vector<KnownPod> known = pods;
    for (KnownPod& pod : known) {
      const std::string& name =
          pod.mode.empty() ? modes_.front().name : pod.mode;
      pod.is_elsewhere = name != mode.name;
      if (pod.is_elsewhere) pod.host_ports.clear();
    }
    result.Update(mode.network->Reconcile(known));
  }
  return result;
}

}  // namespace pinion::network
