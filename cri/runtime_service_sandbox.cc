#include "cri/runtime_service_sandbox.h"

#include <string>

#include "base/status_macros.h"
#include "cri/info_json.h"
#include "cri/resolve.h"
#include "cri/translate_sandbox.h"
#include "cri/translate_status.h"
#include "runtime/runtime.h"

namespace pinion::cri {

absl::Status SandboxRpcs::RunPodSandbox(
    const api::RunPodSandboxRequest& request,
    api::RunPodSandboxResponse* response) {
  PINION_ASSIGN_OR_RETURN(const auto spec, ToPodSpec(request));
  PINION_ASSIGN_OR_RETURN(*response->mutable_pod_sandbox_id(),
                          runtime_.RunPod(spec));
  return absl::OkStatus();
}

absl::Status SandboxRpcs::StopPodSandbox(
    const api::StopPodSandboxRequest& request, api::StopPodSandboxResponse*) {
  const auto id = ResolvePodId(runtime_, request.pod_sandbox_id());
  if (absl::IsNotFound(id.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(id.status());
  return runtime_.StopPod(*id);
}

absl::Status SandboxRpcs::RemovePodSandbox(
    const api::RemovePodSandboxRequest& request,
    api::RemovePodSandboxResponse*) {
  const auto id = ResolvePodId(runtime_, request.pod_sandbox_id());
  if (absl::IsNotFound(id.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(id.status());
  return runtime_.RemovePod(*id);
}

absl::Status SandboxRpcs::PodSandboxStatus(
    const api::PodSandboxStatusRequest& request,
    api::PodSandboxStatusResponse* response) {
  PINION_ASSIGN_OR_RETURN(const runtime::PodSnapshot pod,
                          ResolvePod(runtime_, request.pod_sandbox_id()));
  // Read before the containers: a change that they do not show is later.
  response->set_timestamp(clock_.WallNanos());
  ToPodSandboxStatus(*pod, response->mutable_status());
  for (const auto& container : runtime_.ListContainers()) {
    if (container->pod_id() != pod->id()) continue;
    ToContainerStatus(*container, response->add_containers_statuses());
  }
  if (request.verbose()) {
    (*response->mutable_info())["info"] =
        PodInfo(pod, runtime_.NetnsPath(*pod));
  }
  return absl::OkStatus();
}

absl::Status SandboxRpcs::ListPodSandbox(
    const api::ListPodSandboxRequest& request,
    api::ListPodSandboxResponse* response) {
  for (const runtime::PodSnapshot& pod : runtime_.ListPods()) {
    if (!IsVisible(*pod) || !Matches(request.filter(), *pod)) continue;
    ToPodSandbox(*pod, response->add_items());
  }
  return absl::OkStatus();
}

}  // namespace pinion::cri
