#include "network/none_network.h"

#include "base/status_macros.h"
#include "network/addressing.h"
#include "network/pod_link.h"

namespace pinion::network {

absl::StatusOr<PodAddresses> NoneNetwork::Attach(const AttachRequest& request) {
  if (!request.host_ports.empty()) {
    return absl::FailedPreconditionError(
        "host ports need a pod network (network.mode)");
  }
  os::NetlinkSocket pod = os::NetlinkSocket::Borrow(request.netns_route_socket);
  PINION_RETURN_IF_ERROR(BringUpLoopback(pod));
  return PodAddresses{};
}

absl::Status NoneNetwork::Detach(const std::string& pod_id) {
  (void)pod_id;
  return absl::OkStatus();
}

Readiness NoneNetwork::GetReadiness() const { return {true, "", ""}; }

absl::Status NoneNetwork::SetPodCidr(const std::string& pod_cidr) {
  if (pod_cidr.empty()) return absl::OkStatus();
  return Annotate(ParseRanges(pod_cidr).status(), "pod CIDR");
}

absl::Status NoneNetwork::Reconcile(const std::vector<KnownPod>& pods) {
  (void)pods;
  return absl::OkStatus();
}

}  // namespace pinion::network
