// The runtime core: pods and containers of this node. What cri/ calls, in the
// domain's words (state.proto); it knows no gRPC and no CRI message.
//
// Thread-safe. Lists and statuses read snapshots and take no pod's lock, so
// they stay quick whatever else is under way. Mutations of one pod are
// serialised; a second RunPod, CreateContainer or StartContainer with the
// same identity joins the first (faults.md, 14 and 15).
//
// Ids given to the methods may be full ids or unambiguous prefixes where the
// method says so; NotFound otherwise.

#ifndef PINION_RUNTIME_RUNTIME_H_
#define PINION_RUNTIME_RUNTIME_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "image/image_service.h"
#include "metrics/metrics.h"
#include "network/pod_network.h"
#include "os/unique_fd.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "runtime/cpu_view.h"
#include "runtime/events.h"
#include "runtime/port_connection.h"
#include "runtime/process_streams.h"
#include "runtime/snapshot.h"
#include "runtime/usage.h"
#include "state.pb.h"

namespace pinion::runtime {

struct ExecResult {
  std::string stdout_data;
  std::string stderr_data;
  int32_t exit_code = 0;
};

struct AppArmorState {
  // The kernel has it.
  bool enabled = false;
  // Why pinion's own profile cannot be loaded; empty if it can.
  std::string error;
};

struct Options {
  // Persistent: state.db, layers/, containers/. Default /var/lib/pinion.
  std::string root;
  // tmpfs: pods/<id>/, ipam/. Default /run/pinion.
  std::string state;
  // Runtime handlers that RunPod accepts; "" is always accepted.
  std::vector<std::string> handlers;
  // From the configuration: applied where a container asks RuntimeDefault, or
  // (seccomp_default) does not say.
  bool seccomp_default = false;
  // Sysctls a pod may set, beyond the safe ones.
  std::vector<std::string> allowed_unsafe_sysctls;
  // Where CDI specifications lie; a later one counts more.
  std::vector<std::string> cdi_spec_dirs;
  // Exclusive CPUs for those who ask for whole ones (docs/cpu_pinning.md).
  CpuOptions cpu;
  // How many pods' starts are prepared ahead (warm_pool.h); 0: none.
  int warm_pods = 0;
};

struct Dependencies {
  image::ImageService* images = nullptr;
  network::PodNetwork* network = nullptr;
  cgroup::PodCgroupDriver* pod_cgroups = nullptr;
  cgroup::ContainerCgroups* container_cgroups = nullptr;
  metrics::Registry* metrics = nullptr;
};

class Runtime {
 public:
  // Opens the records and recovers: finishes or undoes what a crash left,
  // reconnects to the monitors. Dependencies outlive the runtime.
  static absl::StatusOr<std::unique_ptr<Runtime>> Create(
      const Options& options, const Dependencies& dependencies);
  virtual ~Runtime() = default;

  // Returns the pod's id. With the identity (name, namespace, uid, attempt)
  // of a pod that exists or is being made: joins, returns that id.
  virtual absl::StatusOr<std::string> RunPod(const state::PodSpec& spec) = 0;
  // Idempotent; unknown ids succeed.
  virtual absl::Status StopPod(const std::string& id) = 0;
  virtual absl::Status RemovePod(const std::string& id) = 0;
  virtual std::vector<PodSnapshot> ListPods() const = 0;
  // Full id or unambiguous prefix; NotFound.
  virtual absl::StatusOr<PodSnapshot> FindPod(const std::string& id) const = 0;

  virtual absl::StatusOr<std::string> CreateContainer(
      const std::string& pod_id, const state::ContainerSpec& spec) = 0;
  virtual absl::Status StartContainer(const std::string& id) = 0;
  // The stop signal, SIGKILL after `grace` (zero: at once). Idempotent;
  // unknown ids succeed. Unavailable: EndWaits.
  virtual absl::Status StopContainer(const std::string& id,
                                     std::chrono::seconds grace) = 0;
  // The daemon is about to end: who waits for a grace to run out is told so
  // at once; what else is under way goes on. Memory only.
  virtual void EndWaits() = 0;
  virtual absl::Status RemoveContainer(const std::string& id) = 0;
  virtual std::vector<ContainerSnapshot> ListContainers() const = 0;
  virtual absl::StatusOr<ContainerSnapshot> FindContainer(
      const std::string& id) const = 0;

  // `timeout` zero: none. DeadlineExceeded after killing the exec's whole
  // process tree. At most 16 MB a stream (the rest is read and dropped).
  virtual absl::StatusOr<ExecResult> ExecSync(
      const std::string& container_id, const std::vector<std::string>& command,
      std::chrono::seconds timeout) = 0;

  // Starts a command in a running container, with its stdio in the caller's
  // hands. Streams go before the runtime does. InvalidArgument: no command, no
  // stream, or stderr beside a terminal.
  virtual absl::StatusOr<std::unique_ptr<ProcessStreams>> OpenExec(
      const std::string& container_id, const std::vector<std::string>& command,
      const StreamOptions& options) = 0;
  // The stdio of a running container's own process, from now on. stdin only
  // where the container was created with it. FailedPrecondition: `terminal` is
  // not what the container has. ResourceExhausted: too many are attached.
  virtual absl::StatusOr<std::unique_ptr<ProcessStreams>> OpenAttach(
      const std::string& container_id, const StreamOptions& options) = 0;
  // A connection to 127.0.0.1, else ::1, in the pod's network namespace, not
  // begun yet.
  virtual absl::StatusOr<PortConnection> ConnectPort(const std::string& pod_id,
                                                     uint16_t port) = 0;

  virtual absl::Status ReopenLog(const std::string& container_id) = 0;

  // Whether pods can have user namespaces of their own: kernel and file system
  // of the root directory, tried out once.
  virtual bool HasUserNamespaces() const { return false; }
  // Waits for nothing.
  virtual AppArmorState GetAppArmorState() const = 0;

  // Writes a checkpoint of the running container to the file `location`
  // (absolute); the container runs on, whatever happens. `timeout` zero: five
  // minutes. Unimplemented, with the reason: criu is not installed, or the
  // container has what it cannot take along. FailedPrecondition: it does not
  // run, a checkpoint of it is under way, or criu refuses.
  virtual absl::Status CheckpointContainer(const std::string& container_id,
                                           const std::string& location,
                                           std::chrono::seconds timeout) = 0;

  // The netns path tools are given: /proc/<monitor>/fd/N; empty with host
  // network or when the pod is not ready.
  virtual std::string NetnsPath(const state::PodRecord& pod) const = 0;

  // Fields of `changes` that are not set (zero, empty) stay as they are. All
  // or nothing: on an error limits and record are as before.
  // FailedPrecondition: it has ended, or the pod is not ready.
  virtual absl::Status UpdateContainer(const std::string& id,
                                       const state::Resources& changes) = 0;
  virtual absl::Status UpdatePod(const std::string& id,
                                 const state::Resources& overhead,
                                 const state::Resources& resources) = 0;

  // What the kernel made of a running container's limits: by file of its
  // cgroup, as it shows them. Those it has no controller for are missing.
  virtual std::map<std::string, std::string> LimitsInForce(
      const std::string& /*container_id*/) const {
    return {};
  }

  // Events from now on (events.h, EventQueue); they must end before the
  // runtime.
  virtual std::shared_ptr<EventQueue> SubscribeEvents(
      std::function<void()> ready) = 0;

  // This machine's CPUs and whose they are.
  virtual absl::StatusOr<CpuView> Cpus() const = 0;

  // What it uses now; NotFound. Of a container that does not run, and a pod
  // that is not ready, only what the disk says.
  virtual absl::StatusOr<ContainerUsage> MeasureContainer(
      const std::string& id, UsageDetail detail) const = 0;
  // With its containers.
  virtual absl::StatusOr<PodUsage> MeasurePod(const std::string& id,
                                              UsageDetail detail) const = 0;

  // Bytes and inodes that the containers' writable layers use.
  virtual absl::StatusOr<image::FsUsage> WritableUsage() const = 0;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_RUNTIME_H_
