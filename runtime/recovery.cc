// Recovery: records, live monitors and the kernel are brought together when
// the daemon starts (docs/recovery.md). What it relies on:
//
//   1. A record exists before the first side effect of its object, and goes
//      after the last one. So whatever lives in the kernel or in the state
//      directory without a record is a leftover, and goes.
//   2. The monitor, not the record, knows which containers run: StartContainer
//      writes no intent, and exits may be recorded late.
//   3. Nothing of a pod survives a reboot but its record and the writable
//      layers of its containers.

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "os/process.h"
#include "runtime/operations.h"
#include "runtime/state_machine.h"

namespace pinion::runtime {
namespace {

// Reconnecting is mostly waiting for monitors to answer.
constexpr size_t kReconnectThreads = 8;

absl::Status LoadRecords(Context& context) {
  std::vector<state::PodRecord> pods;
  std::vector<state::ContainerRecord> containers;
  std::vector<std::string> damaged;
  PINION_RETURN_IF_ERROR(context.records->Load(&pods, &containers, &damaged));
  for (const std::string& row : damaged) {
    Log(LogLevel::kError, "a damaged record was put aside", {{"row", row}});
  }
  std::map<std::string, PodPtr> by_id;
  for (state::PodRecord& record : pods) {
    auto pod = std::make_shared<Pod>(std::move(record));
    by_id[pod->id] = pod;
    context.objects.Add(pod);
  }
  for (state::ContainerRecord& record : containers) {
    const auto pod = by_id.find(record.pod_id());
    if (pod == by_id.end()) {
      // Its pod's record was damaged or is gone; the layer is swept below.
      PINION_RETURN_IF_ERROR(context.records->DeleteContainer(record.id()));
      continue;
    }
    context.objects.Add(
        std::make_shared<Container>(pod->second, std::move(record)));
  }
  return absl::OkStatus();
}

// Layers that containers stand on stay, even if their image is gone.
absl::Status HoldLayers(Context& context) {
  for (const ContainerPtr& container : context.objects.Containers()) {
    const auto record = container->record.Get();
    const std::vector<std::string> layers(record->layer_dirs().begin(),
                                          record->layer_dirs().end());
    const absl::Status status =
        context.deps.images->HoldLayers(layers, container->id);
    if (!status.ok()) {
      Log(LogLevel::kError, "layers of a container are missing",
          {{"container", container->id}, {"error", status.ToString()}});
    }
  }
  return context.deps.images->CollectGarbage();
}

void ApplyReports(Context& context, const Pod& pod,
                  const std::vector<monitor::ContainerReport>& reports) {
  std::map<std::string, const monitor::ContainerReport*> by_id;
  for (const auto& report : reports) by_id[report.id] = &report;
  for (const ContainerPtr& container : context.objects.ContainersOf(pod.id)) {
    const auto state = container->record.Get()->state();
    if (state != state::CONTAINER_CREATED &&
        state != state::CONTAINER_RUNNING) {
      continue;
    }
    const auto found = by_id.find(container->id);
    if (found == by_id.end()) {
      if (state == state::CONTAINER_RUNNING) {
        MarkKilled(context, *container, "Error",
                   "the pod's monitor does not know it any more");
      }
      continue;
    }
    const monitor::ContainerReport& report = *found->second;
    container->record.Update([&report](state::ContainerRecord& r) {
      if (r.started_at_ns() == 0) r.set_started_at_ns(report.started_at_ns);
      if (!report.ended) {
        (void)Apply(r, ContainerEvent::kStarted);
        r.set_pid(report.pid);
        r.set_pid_start_ticks(report.start_ticks);
      }
      return true;
    });
    if (report.ended) MarkExited(context, *container, report.exit);
    context.records->SaveLater(container->record.Get());
  }
}

// Unavailable or NotFound: the pod has no monitor any more. DeadlineExceeded:
// it did not answer, which a stopped or starved one does not either.
absl::Status Reconnect(Context& context, const PodPtr& pod) {
  PINION_ASSIGN_OR_RETURN(
      const os::UniqueFd dir,
      os::OpenAt(context.pods_dir.get(), pod->id, O_RDONLY | O_DIRECTORY));
  std::vector<monitor::ContainerReport> reports;
  PINION_ASSIGN_OR_RETURN(
      auto client,
      monitor::MonitorClient::Reconnect(pod->id, dir.get(), *context.reactor,
                                        CallbacksFor(context, pod), &reports));
  pod->SetMonitor(std::move(client));
  context.instruments.monitors.Add(1);
  ApplyReports(context, *pod, reports);
  return absl::OkStatus();
}

bool MonitorLives(const state::PodRecord& pod) {
  const auto ticks = os::ProcessStartTicks(pod.monitor_pid());
  return ticks.ok() && *ticks == pod.monitor_start_ticks();
}

void StopLost(Context& context, Pod& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod.operation) {
  const absl::Status status = StopLostPod(context, pod);
  if (!status.ok()) {
    Log(LogLevel::kError, "a pod that is gone was not cleaned up completely",
        {{"pod", pod.id}, {"error", status.ToString()}});
  }
}

// Its containers run and its logs are written, or will be: a monitor that is
// merely silent is asked again until it answers or is gone.
void AskAgain(Context& context, const PodPtr& pod) {
  context.reconnects->Add([&context, pod] {
    const absl::MutexLock lock(&pod->operation);
    const auto record = pod->record.Get();
    if (context.stopping || record->state() != state::POD_READY ||
        pod->Monitor() != nullptr) {
      return;
    }
    const absl::Status status = Reconnect(context, pod);
    if (status.ok()) {
      Log(LogLevel::kInfo, "pod monitor answers again", {{"pod", pod->id}});
    } else if (absl::IsDeadlineExceeded(status) && MonitorLives(*record)) {
      if (!context.stopping) AskAgain(context, pod);
    } else {
      StopLost(context, *pod);
    }
  });
}

void RecoverReady(Context& context, const PodPtr& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod->operation) {
  context.instruments.pods.Add(1);  // StopLost takes it away again
  const auto record = pod->record.Get();
  absl::Status status = absl::NotFoundError("the node was booted again");
  if (record->boot_id() == context.boot_id) status = Reconnect(context, pod);
  if (status.ok()) return;
  Log(LogLevel::kWarning, "pod monitor not reached",
      {{"pod", pod->id}, {"error", status.ToString()}});
  if (absl::IsDeadlineExceeded(status) && MonitorLives(*record)) {
    AskAgain(context, pod);
  } else {
    StopLost(context, *pod);
  }
}

// A pod whose RunPodSandbox never answered: the kubelet does not know it. Its
// monitor, if it has one, may not have got into the pod's cgroup yet, and its
// record does not name it: it is asked to end.
void UndoCreating(Context& context, const PodPtr& pod)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod->operation) {
  if (pod->record.Get()->boot_id() == context.boot_id) {
    (void)Reconnect(context, pod);
  }
  pod->record.Update([](state::PodRecord& record) {
    return Apply(record, PodEvent::kRemove);
  });
  absl::Status status = TearDown(context, *pod);
  if (status.ok()) status = context.records->DeletePod(pod->id);
  if (!status.ok()) {
    Log(LogLevel::kError, "a half-made pod was not undone completely",
        {{"pod", pod->id}, {"error", status.ToString()}});
  }
  context.objects.RemovePod(pod->id);
}

void RecoverPod(Context& context, const PodPtr& pod) {
  const absl::MutexLock lock(&pod->operation);
  switch (pod->record.Get()->state()) {
    case state::POD_READY:
      RecoverReady(context, pod);
      return;
    case state::POD_CREATING:
      UndoCreating(context, pod);
      return;
    case state::POD_STOPPING: {
      const absl::Status status = StopLostPod(context, *pod);
      if (!status.ok()) {
        Log(LogLevel::kError, "a pod's stop was not finished",
            {{"pod", pod->id}, {"error", status.ToString()}});
      }
      return;
    }
    default:
      return;
  }
}

void ForEachInParallel(const std::vector<PodPtr>& pods,
                       const std::function<void(const PodPtr&)>& work) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  const size_t count = std::min(kReconnectThreads, pods.size());
  threads.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    threads.emplace_back([&] {
      for (size_t at = next++; at < pods.size(); at = next++) work(pods[at]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Objects whose removal was under way.
void FinishRemovals(Context& context) {
  for (const ContainerPtr& container : context.objects.Containers()) {
    if (container->record.Get()->state() != state::CONTAINER_REMOVING) continue;
    const absl::Status status = RemoveContainer(context, container->id);
    if (!status.ok()) {
      Log(LogLevel::kError, "a container's removal was not finished",
          {{"container", container->id}, {"error", status.ToString()}});
    }
  }
  for (const PodPtr& pod : context.objects.Pods()) {
    if (pod->record.Get()->state() != state::POD_REMOVING) continue;
    const absl::MutexLock lock(&pod->operation);
    UndoCreating(context, pod);
  }
}

absl::Status SweepNetwork(Context& context) {
  std::vector<network::KnownPod> known;
  for (const PodPtr& pod : context.objects.Pods()) {
    const auto record = pod->record.Get();
    if (record->state() != state::POD_READY || record->ip().empty()) continue;
    network::KnownPod entry;
    entry.pod_id = pod->id;
    entry.ips.push_back(record->ip());
    entry.ips.insert(entry.ips.end(), record->additional_ips().begin(),
                     record->additional_ips().end());
    known.push_back(std::move(entry));
  }
  return context.deps.network->Reconcile(known);
}

std::set<std::string> ReadyPods(const Context& context) {
  std::set<std::string> ready;
  for (const PodPtr& pod : context.objects.Pods()) {
    if (pod->record.Get()->state() == state::POD_READY) ready.insert(pod->id);
  }
  return ready;
}

// cgroups first: that also kills a monitor nobody knows.
void SweepLeftovers(Context& context) {
  const std::set<std::string> ready = ReadyPods(context);
  const auto cgroups = context.deps.pod_cgroups->ListPods();
  if (cgroups.ok()) {
    for (const std::string& id : *cgroups) {
      if (ready.count(id) != 0) continue;
      const absl::Status status = context.deps.pod_cgroups->Remove(id, "");
      Log(LogLevel::kWarning, "removed the cgroup of an unknown pod",
          {{"pod", id}, {"result", status.ToString()}});
    }
  } else {
    Log(LogLevel::kError, "leftover cgroups were not looked for",
        {{"error", cgroups.status().ToString()}});
  }
  const auto sweep = [](int dir,
                        const std::function<bool(const std::string&)>& keep) {
    const auto names = os::ListDirAt(dir, ".");
    if (!names.ok()) return;
    for (const std::string& name : *names) {
      if (keep(name)) continue;
      const absl::Status status = os::RemoveTreeAt(dir, name);
      Log(LogLevel::kWarning, "removed a leftover directory",
          {{"name", name}, {"result", status.ToString()}});
    }
  };
  sweep(context.pods_dir.get(),
        [&ready](const std::string& name) { return ready.count(name) != 0; });
  sweep(context.containers_dir.get(), [&context](const std::string& name) {
    return IsId(name) && context.objects.FindContainer(name).ok();
  });
}

}  // namespace

absl::Status Recover(Context& context) {
  PINION_RETURN_IF_ERROR_AS(LoadRecords(context), "load the records");
  PINION_RETURN_IF_ERROR_AS(HoldLayers(context), "hold layers");
  ForEachInParallel(context.objects.Pods(), [&context](const PodPtr& pod) {
    RecoverPod(context, pod);
  });
  for (const ContainerPtr& container : context.objects.Containers()) {
    if (container->record.Get()->state() == state::CONTAINER_RUNNING) {
      context.instruments.containers_running.Add(1);
    }
  }
  FinishRemovals(context);
  const absl::Status network = SweepNetwork(context);
  if (!network.ok()) {
    // The network says itself, in its readiness, what is wrong with it.
    Log(LogLevel::kError, "addresses were not reconciled",
        {{"error", network.ToString()}});
  }
  SweepLeftovers(context);
  return absl::OkStatus();
}

}  // namespace pinion::runtime
