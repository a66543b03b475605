// The operations behind Runtime, one file each. Callers hold no lock.
//
// Thread-safe.

#ifndef PINION_RUNTIME_OPERATIONS_H_
#define PINION_RUNTIME_OPERATIONS_H_

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "network/pod_network.h"
#include "runtime/context.h"
#include "runtime/cpu/allocator.h"
#include "runtime/port_connection.h"

namespace pinion::runtime {

// run_pod.cc
absl::StatusOr<std::string> RunPod(Context& context,
                                   const state::PodSpec& spec);
// The node's ports that lead to a pod with a network of its own.
std::vector<network::HostPort> HostPortsOf(const state::PodSpec& spec);

// stop_pod.cc
absl::Status StopPod(Context& context, const std::string& id);
absl::Status RemovePod(Context& context, const std::string& id);

// Ends everything the pod has on this node: containers, monitor, addresses,
// cgroup, state directory. Every step is idempotent; the first error is
// returned after all steps were tried.
absl::Status TearDown(Context& context, Pod& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod.operation);

// Ends a pod whose monitor is gone; NOT_READY afterwards.
absl::Status StopLostPod(Context& context, Pod& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod.operation);

// create_container.cc
absl::StatusOr<std::string> CreateContainer(Context& context,
                                            const std::string& pod_id,
                                            const state::ContainerSpec& spec);

// start_container.cc
absl::Status StartContainer(Context& context, const std::string& id);

// stop_container.cc
absl::Status StopContainer(Context& context, const std::string& id,
                           std::chrono::seconds grace);

// remove_container.cc
absl::Status RemoveContainer(Context& context, const std::string& id);
// The same with the pod's operation lock held.
absl::Status RemoveContainerLocked(Context& context, Container& container)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(container.pod->operation);

// exec_sync.cc
absl::StatusOr<ExecResult> ExecSync(Context& context, const std::string& id,
                                    const std::vector<std::string>& command,
                                    std::chrono::seconds timeout);

// open_exec.cc
absl::StatusOr<std::unique_ptr<ProcessStreams>> OpenExec(
    Context& context, const std::string& id,
    const std::vector<std::string>& command, const StreamOptions& options);

// checkpoint_container.cc
absl::Status CheckpointContainer(Context& context, const std::string& id,
                                 const std::string& location,
                                 std::chrono::seconds timeout);
// What a checkpoint under way leaves behind when the daemon is killed.
void RemoveCheckpointLeftovers(Context& context);

// measure.cc
absl::StatusOr<ContainerUsage> MeasureContainer(Context& context,
                                                const std::string& id,
                                                UsageDetail detail);
absl::StatusOr<PodUsage> MeasurePod(Context& context, const std::string& id,
                                    UsageDetail detail);

std::map<std::string, std::string> LimitsInForce(Context& context,
                                                 const std::string& id);

// open_attach.cc
absl::StatusOr<std::unique_ptr<ProcessStreams>> OpenAttach(
    Context& context, const std::string& id, const StreamOptions& options);

// connect_port.cc
absl::StatusOr<PortConnection> ConnectPort(Context& context,
                                           const std::string& pod_id,
                                           uint16_t port);

// update_resources.cc
// Fields that are not set stay as they are; a container's limits are brought
// to what is asked for, all or nothing.
absl::Status UpdateContainer(Context& context, const std::string& id,
                             const state::Resources& changes);
// Recorded: the kubelet sets a pod's limits on the slice above it.
absl::Status UpdatePod(Context& context, const std::string& id,
                       const state::Resources& overhead,
                       const state::Resources& resources);

// exclusive_cpus.cc
// Everything here does nothing where CPUs are not pinned (Context::pinning).
absl::Status MakePinning(Context& context);
// Gives a container that is being created the CPUs it asks for, and notes
// them in its record.
absl::Status ClaimCpus(Context& context, const state::PodRecord& pod,
                       state::ContainerRecord& record);
// The container's leaf was just made: it is brought to its CPUs.
absl::Status EnterCpus(Context& context, const state::PodRecord& pod,
                       const state::ContainerRecord& record);
// Logs if some of the CPUs that the caller named for it are another's alone.
void TellOfNamedCpus(Context& context, const std::string& id,
                     const state::Resources& resources);
// It runs no more: its CPUs are free. Memory only, the rest is queued.
void ReleaseCpus(Context& context, const std::string& id);
// The same, and its leaf is gone.
void ForgetCpus(Context& context, const std::string& id);
// It names its CPUs itself from now on: returns when nothing writes them.
void LeaveSharedCpus(Context& context, const std::string& id);
// What an update changes of a container's exclusive CPUs: undone by the
// destructor unless Keep was called. Under the pod's lock.
class CpuResize {
 public:
  CpuResize(Context& context, const std::string& container)
      : context_(context), container_(container) {}
  ~CpuResize();
  CpuResize(const CpuResize&) = delete;
  CpuResize& operator=(const CpuResize&) = delete;

  // In force when it returns; nothing if the number stays. FailedPrecondition:
  // `merged` asks for no whole CPUs any more, or names some; ResourceExhausted.
  absl::Status Begin(const state::PodRecord& pod,
                     const state::ContainerRecord& record,
                     const state::Resources& merged);
  // Notes the new CPUs, if there are any.
  void Note(state::ContainerRecord& record) const;
  void Keep();

 private:
  Context& context_;
  const std::string container_;
  std::optional<cpu::Grant> grant_;
  bool kept_ = false;
};
// The pod's cgroup was just made: its monitor stays on the reserved CPUs.
absl::Status KeepMonitorOnReservedCpus(Context& context, const Pod& pod);
// Records and leaves that are there when the daemon starts.
void RestoreCpus(Context& context);
absl::StatusOr<CpuView> ViewCpus(Context& context);

// publish_event.cc
// Tells the subscribers what happened to `pod`'s container `id`, or to the
// pod itself (then `id` is its own). Memory only.
void PublishEvent(Context& context, EventKind kind, const Pod& pod,
                  const std::string& id);
// A container's start, once, and its end. The end of a short-lived one may be
// reported before its start is: then PublishStopped publishes both.
void PublishStarted(Context& context, Container& container);
void PublishStopped(Context& context, Container& container, bool has_run);

// monitor_events.cc
// What the monitor of `pod` calls; safe on the reactor's thread.
monitor::Callbacks CallbacksFor(Context& context, const PodPtr& pod);
// Publishes an end, once; later reports of the same container change nothing.
void MarkExited(Context& context, Container& container,
                const monitor::ExitRecord& record);
// After what is guarded of `pod`'s running container was said: if it has ended
// meanwhile, nothing is. (The report of an end waits for no lock.)
void UnguardIfEnded(Context& context, Pod& pod, const Container& container)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod.operation);
// Waits until the container does not run, or its pod's monitor, which would
// tell, is gone; false at the deadline.
bool AwaitEnd(const Container& container,
              std::chrono::steady_clock::time_point deadline);
// For a container whose end nobody saw: exit code 137 and a reason.
void MarkKilled(Context& context, Container& container,
                const std::string& reason, const std::string& message);

// undo_pod.cc
// Undoes a RunPod that failed or that a crash interrupted; the record goes
// last, so that a crash in between is finished by recovery. If a step fails,
// the pod is listed as not ready and can be stopped and removed.
void UndoPod(Context& context, const PodPtr& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod->operation);

// recovery.cc
// Brings records, monitors and kernel together; see docs/recovery.md. Returns
// when the records may be served; the rest goes on in Context::recovery.
absl::Status Recover(Context& context);

// recover_pod.cc
// Finds out what became of one pod while no daemon ran. Opens pod->known,
// maybe later, when its monitor answers.
void RecoverPod(Context& context, const PodPtr& pod);
// Containers that ran when the last daemon ended have the limits of their
// records: what was changed while no daemon ran is set right.
void GuardLimits(Context& context, Pod& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod.operation);

// leftovers.cc
// What no record names. Found before new pods are made, removed whenever.
struct Leftovers {
  std::vector<std::string> cgroups;  // pod ids
  std::vector<std::string> pod_dirs;
  std::vector<std::string> container_dirs;
};
// `pods`: whose parts of the kernel are still somebody's.
Leftovers FindLeftovers(Context& context, const std::set<std::string>& pods);
void RemoveLeftovers(Context& context, const Leftovers& leftovers);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_OPERATIONS_H_
