// The RPCs about pod sandboxes.
//
// Thread-safe; holds nothing but pointers.

#ifndef PINION_CRI_RUNTIME_SERVICE_SANDBOX_H_
#define PINION_CRI_RUNTIME_SERVICE_SANDBOX_H_

#include "absl/status/status.h"
#include "base/clock.h"
#include "cri/api.h"

namespace pinion::runtime {
class Runtime;
}

namespace pinion::cri {

class SandboxRpcs {
 public:
  SandboxRpcs(runtime::Runtime* runtime, const Clock* clock)
      : runtime_(*runtime), clock_(*clock) {}

  absl::Status RunPodSandbox(const api::RunPodSandboxRequest& request,
                             api::RunPodSandboxResponse* response);
  // Idempotent; unknown ids succeed.
  absl::Status StopPodSandbox(const api::StopPodSandboxRequest& request,
                              api::StopPodSandboxResponse* response);
  absl::Status RemovePodSandbox(const api::RemovePodSandboxRequest& request,
                                api::RemovePodSandboxResponse* response);
  // With the statuses of the pod's containers and the time they were read.
  absl::Status PodSandboxStatus(const api::PodSandboxStatusRequest& request,
                                api::PodSandboxStatusResponse* response);
  absl::Status ListPodSandbox(const api::ListPodSandboxRequest& request,
                              api::ListPodSandboxResponse* response);

 private:
  runtime::Runtime& runtime_;
  const Clock& clock_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_RUNTIME_SERVICE_SANDBOX_H_
