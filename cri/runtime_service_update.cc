#include "cri/runtime_service_update.h"

#include <string>

#include "base/status_macros.h"
#include "cri/field.h"
#include "cri/resolve.h"
#include "cri/translate_resources.h"
#include "runtime/runtime.h"

namespace pinion::cri {

absl::Status UpdateRpcs::UpdateContainerResources(
    const api::UpdateContainerResourcesRequest& request,
    api::UpdateContainerResourcesResponse*) {
  if (request.has_windows()) {
    return RefuseField(Field("windows"), "this is a Linux node");
  }
  PINION_ASSIGN_OR_RETURN(const state::Resources changes,
                          ToResourceChanges(Field("linux"), request.linux()));
  PINION_ASSIGN_OR_RETURN(const runtime::ContainerSnapshot container,
                          ResolveContainer(runtime_, request.container_id()));
  return runtime_.UpdateContainer(container->id(), changes);
}

absl::Status UpdateRpcs::UpdatePodSandboxResources(
    const api::UpdatePodSandboxResourcesRequest& request,
    api::UpdatePodSandboxResourcesResponse*) {
  PINION_ASSIGN_OR_RETURN(
      const state::Resources overhead,
      ToResourceChanges(Field("overhead"), request.overhead()));
  PINION_ASSIGN_OR_RETURN(
      const state::Resources resources,
      ToResourceChanges(Field("resources"), request.resources()));
  PINION_ASSIGN_OR_RETURN(const runtime::PodSnapshot pod,
                          ResolvePod(runtime_, request.pod_sandbox_id()));
  return runtime_.UpdatePod(pod->id(), overhead, resources);
}

}  // namespace pinion::cri
