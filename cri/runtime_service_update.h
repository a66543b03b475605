// The RPCs that change the resources of what exists.
//
// Thread-safe; holds nothing but pointers.

#ifndef PINION_CRI_RUNTIME_SERVICE_UPDATE_H_
#define PINION_CRI_RUNTIME_SERVICE_UPDATE_H_

#include "absl/status/status.h"
#include "cri/api.h"

namespace pinion::runtime {
class Runtime;
}

namespace pinion::cri {

class UpdateRpcs {
 public:
  explicit UpdateRpcs(runtime::Runtime* runtime) : runtime_(*runtime) {}

  // All or nothing; what is not set stays as it is.
  absl::Status UpdateContainerResources(
      const api::UpdateContainerResourcesRequest& request,
      api::UpdateContainerResourcesResponse* response);
  // Recorded: the kubelet has set the pod's cgroup itself.
  absl::Status UpdatePodSandboxResources(
      const api::UpdatePodSandboxResourcesRequest& request,
      api::UpdatePodSandboxResourcesResponse* response);

 private:
  runtime::Runtime& runtime_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_RUNTIME_SERVICE_UPDATE_H_
