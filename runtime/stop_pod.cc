// StopPodSandbox and RemovePodSandbox: both idempotent, both forced.

#include <fcntl.h>
#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "os/process.h"
#include "runtime/operations.h"
#include "runtime/state_machine.h"

namespace pinion::runtime {
namespace {

// How long killed containers may take to be reported. A monitor that does not
// answer (SIGSTOP, frozen log disk) is killed after that.
constexpr std::chrono::seconds kExitDeadline(10);

bool IsRunning(const state::ContainerRecord& record) {
  return record.state() == state::CONTAINER_RUNNING;
}

void KillContainers(Context& context, const Pod& pod) {
  const auto containers = context.objects.ContainersOf(pod.id);
  const std::string cgroup = pod.record.Get()->cgroup();
  for (const ContainerPtr& container : containers) {
    if (!IsRunning(*container->record.Get())) continue;
    const absl::Status status =
        context.deps.container_cgroups->Kill(cgroup, container->id);
    if (!status.ok()) {
      Log(LogLevel::kWarning, "kill of a container's cgroup failed",
          {{"pod", pod.id},
           {"container", container->id},
           {"error", status.ToString()}});
    }
  }
  const auto deadline = std::chrono::steady_clock::now() + kExitDeadline;
  for (const ContainerPtr& container : containers) {
    AwaitEnd(*container, deadline);
  }
}

// Shuts the monitor down; if it does not answer, kills it.
void EndMonitor(Context& context, Pod& pod) {
  const auto client = pod.SetMonitor(nullptr);
  // One that has not answered since the daemon started: not waited for.
  pod.SetReconnecting(nullptr);
  const auto record = pod.record.Get();
  if (client != nullptr) {
    context.instruments.monitors.Add(-1);
    const absl::Status status = client->Shutdown(MonitorDeadline());
    if (status.ok()) return;
    Log(LogLevel::kWarning, "pod monitor did not end; killing it",
        {{"pod", pod.id}, {"error", status.ToString()}});
  }
  // Of an earlier boot: the number, and even the start time, may be another's.
  if (record->monitor_pid() > 0 && record->boot_id() == context.boot_id) {
    const absl::Status status = os::KillIfSame(
        record->monitor_pid(), record->monitor_start_ticks(), SIGKILL);
    if (!status.ok()) {
      Log(LogLevel::kError, "pod monitor not killed",
          {{"pod", pod.id}, {"error", status.ToString()}});
    }
  }
}

// RUNNING, or started when the daemon died before the record said so: only a
// start makes the leaf, and a failed one removes it.
bool HasRun(Context& context, const Pod& pod, const Container& container) {
  const auto state = container.record.Get()->state();
  if (state != state::CONTAINER_CREATED) {
    return state == state::CONTAINER_RUNNING;
  }
  return context.deps.container_cgroups
      ->IsPopulated(pod.record.Get()->cgroup(), container.id)
      .ok();
}

// Containers whose end nobody reported: from the exit records the monitor
// left, else as killed.
void SettleContainers(Context& context, const Pod& pod) {
  const auto dir =
      os::OpenAt(context.pods_dir.get(), pod.id, O_RDONLY | O_DIRECTORY);
  if (dir.ok()) {
    const auto exits = monitor::ReadExitRecords(dir->get());
    if (exits.ok()) {
      for (const monitor::ExitRecord& exit : *exits) {
        const auto container = context.objects.FindContainer(exit.id);
        if (container.ok()) MarkExited(context, **container, exit);
      }
    }
  }
  for (const ContainerPtr& container : context.objects.ContainersOf(pod.id)) {
    if (!HasRun(context, pod, *container)) continue;
    MarkKilled(context, *container, "Error",
               "killed with its pod; its monitor did not report the end");
  }
}

}  // namespace

absl::Status TearDown(Context& context, Pod& pod) {
  const auto record = pod.record.Get();
  context.deps.container_cgroups->Unguard(record->cgroup());
  KillContainers(context, pod);
  EndMonitor(context, pod);
  SettleContainers(context, pod);
  absl::Status result;
  if (record->spec().namespaces().network() != state::NAMESPACE_NODE) {
    result.Update(
        Annotate(context.deps.network->Detach(pod.id), "detach network"));
  }
  result.Update(
      Annotate(context.deps.pod_cgroups->Remove(pod.id, record->cgroup()),
               "remove the pod's cgroup"));
  // Those that were created and never started have some too.
  for (const ContainerPtr& container : context.objects.ContainersOf(pod.id)) {
    ForgetCpus(context, container->id);
  }
  result.Update(Annotate(os::RemoveTreeAt(context.pods_dir.get(), pod.id),
                         "remove the pod's state"));
  return result;
}

namespace {

// A full disk must not keep a pod from ending. Recovery finds out without the
// record: no monitor answers for the pod, or it is stopped once more.
void SaveIfPossible(Context& context, const state::PodRecord& record) {
  const absl::Status status = context.records->Save(record);
  if (status.ok()) return;
  Log(LogLevel::kError, "the stop of a pod was not recorded",
      {{"pod", record.id()}, {"error", status.ToString()}});
}

absl::Status StopLocked(Context& context, Pod& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod.operation) {
  if (pod.record.Get()->state() == state::POD_NOT_READY) {
    return absl::OkStatus();
  }
  bool was_ready = false;
  const auto stopping =
      pod.record.Update([&was_ready](state::PodRecord& record) {
        was_ready = record.state() == state::POD_READY;
        return Apply(record, PodEvent::kStop);
      });
  if (was_ready) {
    context.instruments.pods.Add(-1);
    SaveIfPossible(context, *stopping);
  }
  const absl::Status torn_down = TearDown(context, pod);
  pod.known.Open();
  PINION_RETURN_IF_ERROR(torn_down);
  const auto stopped = pod.record.Update([](state::PodRecord& record) {
    record.set_monitor_pid(0);
    return Apply(record, PodEvent::kStopped);
  });
  SaveIfPossible(context, *stopped);
  PublishEvent(context, EventKind::kStopped, pod, pod.id);
  return absl::OkStatus();
}

}  // namespace

absl::Status StopLostPod(Context& context, Pod& pod) {
  return StopLocked(context, pod);
}

absl::Status StopPod(Context& context, const std::string& id) {
  const auto pod = context.objects.FindPod(id);
  if (absl::IsNotFound(pod.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(pod.status());
  const absl::MutexLock lock(&(*pod)->operation);
  return StopLocked(context, **pod);
}

absl::Status RemovePod(Context& context, const std::string& id) {
  const auto found = context.objects.FindPod(id);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(found.status());
  const PodPtr pod = *found;
  const absl::MutexLock lock(&pod->operation);
  // Another remove may have been first.
  if (!context.objects.FindPod(pod->id).ok()) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(StopLocked(context, *pod));
  for (const ContainerPtr& container : context.objects.ContainersOf(pod->id)) {
    container->pod->operation.AssertHeld();
    PINION_RETURN_IF_ERROR(RemoveContainerLocked(context, *container));
  }
  pod->record.Update([](state::PodRecord& record) {
    return Apply(record, PodEvent::kRemove);
  });
  PINION_RETURN_IF_ERROR(context.records->DeletePod(pod->id));
  context.objects.RemovePod(pod->id);
  PublishEvent(context, EventKind::kDeleted, *pod, pod->id);
  return absl::OkStatus();
}

}  // namespace pinion::runtime
