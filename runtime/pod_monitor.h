// The start of a pod's monitor and of its sandbox, in halves, so that what does
// not need them yet can be done meanwhile: a copy of the warm pool's template
// if there is one, else, or if the copy does not come, a monitor of its own.
//
// Not thread-safe: lives on the stack of one RunPod.

#ifndef PINION_RUNTIME_POD_MONITOR_H_
#define PINION_RUNTIME_POD_MONITOR_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"
#include "runtime/context.h"
#include "runtime/monitor/client.h"

namespace pinion::runtime {

class PodMonitorStart {
 public:
  // `request` is borrowed; `cgroup_fd` and `pod_dir` too.
  PodMonitorStart(Context& context, const PodPtr& pod, int pod_dir,
                  int cgroup_fd, const monitor::SandboxRequest& request);

  // Asks for the monitor.
  absl::Status Begin();
  // Asks it for the sandbox.
  absl::Status BeginSandbox();
  // Once the monitor runs, the pod has it: its pid in the record. Undoing the
  // pod ends it from then on; before, it ends by itself.
  absl::Status AwaitMonitor();
  absl::StatusOr<monitor::Sandbox> AwaitSandbox();

 private:
  absl::Status Spawn();
  void Register();

  Context& context_;
  const PodPtr& pod_;
  const monitor::SandboxRequest& request_;
  monitor::MonitorClient::SpawnOptions options_;
  std::shared_ptr<monitor::MonitorTemplate> template_;
  std::shared_ptr<monitor::MonitorClient> client_;
  bool registered_ = false;
  bool sandbox_begun_ = false;
  absl::Status begun_;  // of the last request to set up the sandbox
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_POD_MONITOR_H_
