#include "cri/runtime_service_container.h"

#include <unistd.h>

#include <string>

#include "base/status_macros.h"
#include "cri/info_json.h"
#include "cri/resolve.h"
#include "cri/rpc_seconds.h"
#include "cri/translate_container.h"
#include "cri/translate_status.h"
#include "runtime/runtime.h"

namespace pinion::cri {
namespace {

// There once a policy has been loaded (selinuxfs).
constexpr char kSelinuxEnforce[] = "/sys/fs/selinux/enforce";

}  // namespace

absl::Status ContainerRpcs::CreateContainer(
    const api::CreateContainerRequest& request,
    api::CreateContainerResponse* response) {
  PINION_ASSIGN_OR_RETURN(auto spec, ToContainerSpec(request));
  PINION_RETURN_IF_ERROR(
      CheckSelinux(request.config(), access(kSelinuxEnforce, F_OK) == 0));
  PINION_ASSIGN_OR_RETURN(const runtime::PodSnapshot pod,
                          ResolvePod(runtime_, request.pod_sandbox_id()));
  PINION_RETURN_IF_ERROR(FitIntoPod(pod->spec(), &spec));
  PINION_RETURN_IF_ERROR(CheckUserNamespaceMode(request.config(), pod->spec()));
  PINION_ASSIGN_OR_RETURN(const std::string id,
                          runtime_.CreateContainer(pod->id(), spec));
  response->set_container_id(id);
  return absl::OkStatus();
}

absl::Status ContainerRpcs::StartContainer(
    const api::StartContainerRequest& request, api::StartContainerResponse*) {
  PINION_ASSIGN_OR_RETURN(const std::string id,
                          ResolveContainerId(runtime_, request.container_id()));
  return runtime_.StartContainer(id);
}

absl::Status ContainerRpcs::StopContainer(
    const api::StopContainerRequest& request, api::StopContainerResponse*) {
  PINION_ASSIGN_OR_RETURN(const auto grace,
                          ToSeconds("timeout", request.timeout()));
  const auto id = ResolveContainerId(runtime_, request.container_id());
  if (absl::IsNotFound(id.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(id.status());
  return runtime_.StopContainer(*id, grace);
}

absl::Status ContainerRpcs::RemoveContainer(
    const api::RemoveContainerRequest& request, api::RemoveContainerResponse*) {
  const auto id = ResolveContainerId(runtime_, request.container_id());
  if (absl::IsNotFound(id.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(id.status());
  return runtime_.RemoveContainer(*id);
}

absl::Status ContainerRpcs::ListContainers(
    const api::ListContainersRequest& request,
    api::ListContainersResponse* response) {
  for (const auto& container : runtime_.ListContainers()) {
    if (!Matches(request.filter(), *container)) continue;
    ToContainer(*container, response->add_containers());
  }
  return absl::OkStatus();
}

absl::Status ContainerRpcs::ContainerStatus(
    const api::ContainerStatusRequest& request,
    api::ContainerStatusResponse* response) {
  PINION_ASSIGN_OR_RETURN(const runtime::ContainerSnapshot container,
                          ResolveContainer(runtime_, request.container_id()));
  ToContainerStatus(*container, response->mutable_status());
  if (request.verbose()) {
    const auto pod = runtime_.FindPod(container->pod_id());
    (*response->mutable_info())["info"] =
        ContainerInfo(container, pod.ok() ? (*pod)->cgroup() : "",
                      runtime_.LimitsInForce(container->id()));
  }
  return absl::OkStatus();
}

}  // namespace pinion::cri
