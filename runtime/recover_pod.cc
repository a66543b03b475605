// What became of one pod while no daemon ran: its monitor knows, if it lives.
// It is asked without waiting: one that is stopped answers when it goes on.

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "runtime/operations.h"
#include "runtime/state_machine.h"

namespace pinion::runtime {
namespace {

using Reports = std::vector<monitor::ContainerReport>;

// Until a monitor is asked again whose backlog is full.
constexpr std::chrono::seconds kAskAgain(1);

void ApplyReport(Context& context, Container& container,
                 const monitor::ContainerReport& report) {
  bool started = false;
  container.record.Update([&](state::ContainerRecord& r) {
    if (report.started_at_ns != 0) r.set_started_at_ns(report.started_at_ns);
    if (report.ended) return true;
    started = Apply(r, ContainerEvent::kStarted);
    // It has not executed yet; no event tells when it does.
    if (r.started_at_ns() == 0) {
      r.set_started_at_ns(Clock::Real().WallNanos());
    }
    r.set_pid(report.pid);
    r.set_pid_start_ticks(report.start_ticks);
    return true;
  });
  if (started) context.instruments.containers_running.Add(1);
  if (report.ended) MarkExited(context, container, report.exit);
  context.records->SaveLater(container.record.Get());
}

void ApplyReports(Context& context, const Pod& pod, const Reports& reports) {
  std::map<std::string, const monitor::ContainerReport*> by_id;
  for (const auto& report : reports) by_id[report.id] = &report;
  for (const ContainerPtr& container : context.objects.ContainersOf(pod.id)) {
    const auto state = container->record.Get()->state();
    if (state != state::CONTAINER_CREATED &&
        state != state::CONTAINER_RUNNING) {
      continue;
    }
    const auto found = by_id.find(container->id);
    if (found != by_id.end()) {
      ApplyReport(context, *container, *found->second);
    } else if (state == state::CONTAINER_RUNNING) {
      MarkKilled(context, *container, "Error",
                 "the pod's monitor does not know it any more");
    }
  }
}

void StopLost(Context& context, Pod& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod.operation) {
  const absl::Status status = StopLostPod(context, pod);
  if (!status.ok()) {
    Log(LogLevel::kError, "a pod that is gone was not cleaned up completely",
        {{"pod", pod.id}, {"error", status.ToString()}});
  }
}

// Everything is known; what was begun is finished.
void Settle(Context& context, Pod& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod.operation) {
  for (const ContainerPtr& container : context.objects.ContainersOf(pod.id)) {
    if (container->record.Get()->state() != state::CONTAINER_REMOVING) continue;
    container->pod->operation.AssertHeld();
    const absl::Status status = RemoveContainerLocked(context, *container);
    if (!status.ok()) {
      Log(LogLevel::kError, "a container's removal was not finished",
          {{"container", container->id}, {"error", status.ToString()}});
    }
  }
  pod.known.Open();
}

// Also by a container that has ended: systemd may not have been told of that.
bool AskedForProtection(Context& context, const Pod& pod) {
  const auto containers = context.objects.ContainersOf(pod.id);
  return std::any_of(
      containers.begin(), containers.end(), [](const ContainerPtr& container) {
        const auto record = container->record.Get();
        const auto& unified = record->spec().resources().unified();
        return unified.count("memory.min") + unified.count("memory.low") > 0;
      });
}

// The monitor has answered.
void FinishReconnect(Context& context, const PodPtr& pod,
                     const absl::StatusOr<Reports>& reports) {
  const absl::MutexLock lock(&pod->operation);
  auto client = pod->SetReconnecting(nullptr);
  // Stopped meanwhile.
  if (client == nullptr) return;
  if (!reports.ok()) {
    Log(LogLevel::kError, "a pod monitor's answer was not understood",
        {{"pod", pod->id}, {"error", reports.status().ToString()}});
    StopLost(context, *pod);
    return;
  }
  pod->SetMonitor(std::move(client));
  context.instruments.monitors.Add(1);
  ApplyReports(context, *pod, *reports);
  GuardLimits(context, *pod);
  context.deps.container_cgroups->GuardPod(pod->record.Get()->cgroup(),
                                           AskedForProtection(context, *pod));
  Settle(context, *pod);
}

absl::Status BeginReconnect(Context& context, const PodPtr& pod) {
  PINION_ASSIGN_OR_RETURN(
      const os::UniqueFd dir,
      os::OpenAt(context.pods_dir.get(), pod->id, O_RDONLY | O_DIRECTORY));
  // Weak: the pod owns the client, and that the callback.
  const auto answered = [&context, weak = std::weak_ptr<Pod>(pod)](
                            absl::StatusOr<Reports> reports) {
    const PodPtr asked = weak.lock();
    if (asked == nullptr) return;
    context.work->Add([&context, asked, reports = std::move(reports)] {
      FinishReconnect(context, asked, reports);
    });
  };
  PINION_ASSIGN_OR_RETURN(auto client,
                          monitor::MonitorClient::BeginReconnect(
                              pod->id, dir.get(), *context.reactor,
                              CallbacksFor(context, pod), answered));
  pod->SetReconnecting(std::move(client));
  return absl::OkStatus();
}

// True when everything is known already.
bool RecoverReady(Context& context, const PodPtr& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod->operation) {
  absl::Status status = absl::NotFoundError("the node was booted again");
  if (pod->record.Get()->boot_id() == context.boot_id) {
    status = BeginReconnect(context, pod);
  }
  if (status.ok()) return false;
  Log(LogLevel::kWarning, "pod monitor not reached",
      {{"pod", pod->id}, {"error", status.ToString()}});
  if (absl::IsDeadlineExceeded(status)) {
    context.reactor->After(kAskAgain, [&context, pod] {
      context.work->Add([&context, pod] {
        if (!context.stopping) RecoverPod(context, pod);
      });
    });
    return false;
  }
  StopLost(context, *pod);
  return true;
}

}  // namespace

void GuardLimits(Context& context, Pod& pod) {
  for (const ContainerPtr& container : context.objects.ContainersOf(pod.id)) {
    const auto record = container->record.Get();
    if (record->state() != state::CONTAINER_RUNNING) continue;
    context.deps.container_cgroups->Guard(
        pod.record.Get()->cgroup(), container->id, record->spec().resources());
    UnguardIfEnded(context, pod, *container);
  }
}

void RecoverPod(Context& context, const PodPtr& pod) {
  const absl::MutexLock lock(&pod->operation);
  const auto state = pod->record.Get()->state();
  if (state == state::POD_READY) {
    if (!RecoverReady(context, pod)) return;
  } else if (state == state::POD_STOPPING) {
    StopLost(context, *pod);
  }
  Settle(context, *pod);
}

}  // namespace pinion::runtime
