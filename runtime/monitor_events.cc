// What monitors tell: a process ended, a monitor is gone. Runs on the
// reactor's thread: memory only; the rest is queued.

#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "runtime/operations.h"
#include "runtime/state_machine.h"

namespace pinion::runtime {
namespace {

std::string ReasonFor(const monitor::ExitRecord& record) {
  if (!record.error.empty()) return "StartError";
  if (record.oom_killed) return "OOMKilled";
  return record.exit_code == 0 ? "Completed" : "Error";
}

void OnExit(Context& context, const monitor::ExitRecord& record) {
  if (context.execs.Ended(record)) return;
  const auto container = context.objects.FindContainer(record.id);
  if (container.ok()) MarkExited(context, **container, record);
}

// Its limits may change from now on, and what it was promised is no longer its
// pod's to pass on. Whether that was something.
bool Unguard(Context& context, const Pod& pod, const std::string& id) {
  return context.deps.container_cgroups->Unguard(
      absl::StrCat(pod.record.Get()->cgroup(), "/", id));
}

void LowerProtection(Context& context, Pod& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod.operation) {
  const auto record = pod.record.Get();
  if (record->state() != state::POD_READY) return;
  context.deps.container_cgroups->LowerProtection(record->cgroup());
}

// Whoever is at work on the pod is not waited for, others' ends are behind
// this one: then its pod is promised less when the container is removed.
void UnguardEnded(Context& context, Pod& pod, const std::string& id) {
  if (!Unguard(context, pod, id)) return;
  if (!pod.operation.TryLock()) return;
  LowerProtection(context, pod);
  pod.operation.Unlock();
}

// The monitor died under a ready pod: its containers have lost their parent,
// their logs and whoever would report their end. They are killed, and what
// is known is reported; the kubelet makes a new pod.
void ReapLostPod(Context& context, const PodPtr& pod) {
  const absl::MutexLock lock(&pod->operation);
  if (pod->record.Get()->state() != state::POD_READY) return;
  Log(LogLevel::kError, "pod monitor died; ending its pod", {{"pod", pod->id}});
  context.instruments.monitors_lost.Increment();
  // It reports no end any more: nobody is to wait for one.
  if (pod->SetMonitor(nullptr) != nullptr) {
    context.instruments.monitors.Add(-1);
  }
  const absl::Status status = StopLostPod(context, *pod);
  if (!status.ok()) {
    Log(LogLevel::kError, "ending a pod without monitor failed",
        {{"pod", pod->id}, {"error", status.ToString()}});
  }
}

}  // namespace

void MarkExited(Context& context, Container& container,
                const monitor::ExitRecord& exit) {
  // First: whoever waits for the end may ask for its CPUs at once.
  ReleaseCpus(context, container.id);
  bool was_running = false;
  bool changed = false;
  const auto record = container.record.Update([&](state::ContainerRecord& r) {
    was_running = r.state() == state::CONTAINER_RUNNING;
    if (!Apply(r, ContainerEvent::kExited)) return false;
    changed = true;
    r.set_exit_code(exit.exit_code);
    r.set_finished_at_ns(exit.finished_at_ns);
    r.set_reason(ReasonFor(exit));
    if (!exit.error.empty()) r.set_message(exit.error);
    r.set_pid(0);
    return true;
  });
  if (!changed) return;
  if (was_running) context.instruments.containers_running.Add(-1);
  if (exit.oom_killed) context.instruments.oom_kills.Increment();
  context.records->SaveLater(record);
  context.work->Add([&context, id = container.id, pod = container.pod] {
    UnguardEnded(context, *pod, id);
  });
  Log(LogLevel::kInfo, "container ended",
      {{"pod", record->pod_id()},
       {"container", container.id},
       {"exit_code", exit.exit_code},
       {"reason", record->reason()}});
  PublishStopped(context, container, /*has_run=*/exit.error.empty());
}

void UnguardIfEnded(Context& context, Pod& pod, const Container& container) {
  // Its end was recorded before it is taken out of the book: either it is seen
  // here, or that comes after what was said here.
  if (container.record.Get()->state() == state::CONTAINER_RUNNING) return;
  if (Unguard(context, pod, container.id)) LowerProtection(context, pod);
}

bool AwaitEnd(const Container& container,
              std::chrono::steady_clock::time_point deadline) {
  const auto client = container.pod->Monitor();
  return container.record.Await(
      [&client](const state::ContainerRecord& record) {
        return record.state() != state::CONTAINER_RUNNING ||
               client == nullptr || client->lost();
      },
      deadline);
}

void MarkKilled(Context& context, Container& container,
                const std::string& reason, const std::string& message) {
  monitor::ExitRecord exit;
  exit.id = container.id;
  exit.exit_code = 128 + SIGKILL;
  exit.signal = SIGKILL;
  exit.finished_at_ns = Clock::Real().WallNanos();
  MarkExited(context, container, exit);
  const auto record = container.record.Update([&](state::ContainerRecord& r) {
    r.set_reason(reason);
    r.set_message(message);
    return true;
  });
  context.records->SaveLater(record);
}

monitor::Callbacks CallbacksFor(Context& context, const PodPtr& pod) {
  monitor::Callbacks callbacks;
  callbacks.on_exit = [&context](const monitor::ExitRecord& record) {
    OnExit(context, record);
  };
  callbacks.on_lost = [&context, weak = std::weak_ptr<Pod>(pod)] {
    const PodPtr lost = weak.lock();
    if (lost == nullptr) return;
    context.execs.PodLost(lost->id);
    for (const ContainerPtr& container :
         context.objects.ContainersOf(lost->id)) {
      container->record.Wake();  // AwaitEnd
    }
    context.work->Add([&context, lost] { ReapLostPod(context, lost); });
  };
  return callbacks;
}

}  // namespace pinion::runtime
