// The RPCs about containers' lives.
//
// Thread-safe; holds nothing but pointers.

#ifndef PINION_CRI_RUNTIME_SERVICE_CONTAINER_H_
#define PINION_CRI_RUNTIME_SERVICE_CONTAINER_H_

#include "absl/status/status.h"
#include "cri/api.h"

namespace pinion::runtime {
class Runtime;
}

namespace pinion::cri {

class ContainerRpcs {
 public:
  explicit ContainerRpcs(runtime::Runtime* runtime) : runtime_(*runtime) {}

  absl::Status CreateContainer(const api::CreateContainerRequest& request,
                               api::CreateContainerResponse* response);
  absl::Status StartContainer(const api::StartContainerRequest& request,
                              api::StartContainerResponse* response);
  // Idempotent; unknown ids succeed. Waits for at most the grace (and no
  // lock is held meanwhile).
  absl::Status StopContainer(const api::StopContainerRequest& request,
                             api::StopContainerResponse* response);
  absl::Status RemoveContainer(const api::RemoveContainerRequest& request,
                               api::RemoveContainerResponse* response);
  absl::Status ListContainers(const api::ListContainersRequest& request,
                              api::ListContainersResponse* response);
  absl::Status ContainerStatus(const api::ContainerStatusRequest& request,
                               api::ContainerStatusResponse* response);

 private:
  runtime::Runtime& runtime_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_RUNTIME_SERVICE_CONTAINER_H_
