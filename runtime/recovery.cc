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

#include "base/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "runtime/image_volumes.h"
#include "runtime/monitor/inherited.h"
#include "runtime/network_request.h"
#include "runtime/operations.h"
#include "runtime/state_machine.h"

namespace pinion::runtime {
namespace {

// Ending what is lost is mostly waiting for the kernel.
constexpr size_t kRecoveryThreads = 8;
// Nearly every monitor answers within this: then the first list that a client
// asks for is already true.
constexpr std::chrono::milliseconds kHeadStart(200);

using Pods = std::vector<PodPtr>;

// `half_made`: pods whose RunPodSandbox never answered. Nobody knows them, so
// they are in no table.
absl::Status LoadRecords(Context& context, Pods* half_made) {
  std::vector<state::PodRecord> pods;
  std::vector<state::ContainerRecord> containers;
  std::vector<std::string> damaged;
  PINION_RETURN_IF_ERROR(context.records->Load(&pods, &containers, &damaged));
  for (const std::string& row : damaged) {
    Log(LogLevel::kError, "a damaged record was put aside", {{"row", row}});
  }
  std::map<std::string, PodPtr> by_id;
  for (state::PodRecord& record : pods) {
    const state::PodState state = record.state();
    const bool known = state == state::POD_NOT_READY;
    auto pod = std::make_shared<Pod>(std::move(record), known);
    if (state == state::POD_CREATING || state == state::POD_REMOVING) {
      half_made->push_back(std::move(pod));
      continue;
    }
    if (state == state::POD_READY) context.instruments.pods.Add(1);
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
    if (record.state() == state::CONTAINER_RUNNING) {
      context.instruments.containers_running.Add(1);
    }
    context.objects.Add(
        std::make_shared<Container>(pod->second, std::move(record)));
  }
  return absl::OkStatus();
}

bool IsOfThisBoot(const Context& context, const Pod& pod) {
  return pod.record.Get()->boot_id() == context.boot_id;
}

// StartContainer answers before its record is written. If the daemon died in
// between, the client was told that the container runs, and it does.
void NoticeStarts(Context& context) {
  for (const ContainerPtr& container : context.objects.Containers()) {
    const auto record = container->record.Get();
    const auto pod = container->pod->record.Get();
    if (record->state() != state::CONTAINER_CREATED ||
        pod->state() != state::POD_READY ||
        !IsOfThisBoot(context, *container->pod) ||
        !context.deps.container_cgroups
             ->IsPopulated(pod->cgroup(), container->id)
             .value_or(false)) {
      continue;
    }
    // The monitor will tell the rest.
    container->record.Update([](state::ContainerRecord& r) {
      r.set_started_at_ns(Clock::Real().WallNanos());
      return Apply(r, ContainerEvent::kStarted);
    });
    context.instruments.containers_running.Add(1);
  }
}

// Layers that containers stand on stay, even if their image is gone.
absl::Status HoldLayers(Context& context) {
  for (const ContainerPtr& container : context.objects.Containers()) {
    const auto record = container->record.Get();
    std::vector<std::string> layers = ImageVolumeLayers(record->spec());
    layers.insert(layers.end(), record->layer_dirs().begin(),
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

void ForEachInParallel(const Pods& pods,
                       const std::function<void(const PodPtr&)>& work) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  const size_t count = std::min(kRecoveryThreads, pods.size());
  threads.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    threads.emplace_back([&] {
      for (size_t at = next++; at < pods.size(); at = next++) work(pods[at]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Its monitor may not have got into the pod's cgroup yet, and its record does
// not name it: it is asked to end.
void UndoHalfMade(Context& context, const PodPtr& pod) {
  if (context.stopping) return;
  const absl::MutexLock lock(&pod->operation);
  if (IsOfThisBoot(context, *pod)) {
    const auto dir =
        os::OpenAt(context.pods_dir.get(), pod->id, O_RDONLY | O_DIRECTORY);
    if (dir.ok()) {
      auto client = monitor::MonitorClient::Reconnect(
          pod->id, dir->get(), *context.reactor, CallbacksFor(context, pod),
          nullptr);
      if (client.ok()) {
        pod->SetMonitor(*std::move(client));
        context.instruments.monitors.Add(1);
      }
    }
  }
  UndoPod(context, pod);
  pod->known.Open();
}

// What lives in the kernel for a pod is its own until the pod was ended.
std::set<std::string> Owners(Context& context, const Pods& half_made) {
  std::set<std::string> owners;
  for (const PodPtr& pod : context.objects.Pods()) {
    if (pod->record.Get()->state() != state::POD_NOT_READY) {
      owners.insert(pod->id);
    }
  }
  for (const PodPtr& pod : half_made) owners.insert(pod->id);
  return owners;
}

void SweepNetwork(Context& context, const Pods& half_made,
                  const Leftovers& leftovers) {
  std::vector<network::KnownPod> known;
  for (const PodPtr& pod : context.objects.Pods()) {
    const auto record = pod->record.Get();
    if (record->state() == state::POD_NOT_READY) continue;
    network::KnownPod entry;
    entry.pod_id = pod->id;
    if (!record->ip().empty()) entry.ips.push_back(record->ip());
    entry.ips.insert(entry.ips.end(), record->additional_ips().begin(),
                     record->additional_ips().end());
    for (const state::SecondaryInterface& one : record->secondary()) {
      entry.secondary.push_back({one.network(),
                                 one.interface_name(),
                                 {one.ips().begin(), one.ips().end()},
                                 one.mac(),
                                 one.parent()});
    }
    if (record->spec().namespaces().network() != state::NAMESPACE_NODE) {
      entry.host_ports = HostPortsOf(record->spec());
      entry.mode = NetworkModeOf(record->spec());
      if (record->monitor_pid() > 0) {
        entry.netns_path = absl::StrCat("/proc/", record->monitor_pid(), "/fd/",
                                        monitor::kNetnsFd);
      }
    }
    known.push_back(std::move(entry));
  }
  // They keep their address until they were ended, and free it then.
  for (const PodPtr& pod : half_made) known.push_back({pod->id, {}});
  for (const std::string& id : leftovers.cgroups) known.push_back({id, {}});
  const absl::Status status = context.deps.network->Reconcile(known);
  if (status.ok()) return;
  // The network says itself, in its readiness, what is wrong with it.
  Log(LogLevel::kError, "addresses were not reconciled",
      {{"error", status.ToString()}});
}

}  // namespace

absl::Status Recover(Context& context) {
  Pods half_made;
  PINION_RETURN_IF_ERROR_AS(LoadRecords(context, &half_made),
                            "load the records");
  PINION_RETURN_IF_ERROR_AS(HoldLayers(context), "hold layers");
  NoticeStarts(context);
  RestoreCpus(context);
  const Leftovers leftovers =
      FindLeftovers(context, Owners(context, half_made));
  SweepNetwork(context, half_made, leftovers);

  // Of an earlier boot nothing lives that would have to be waited for.
  Pods earlier, present;
  for (const PodPtr& pod : context.objects.Pods()) {
    (IsOfThisBoot(context, *pod) ? present : earlier).push_back(pod);
  }
  const auto recover = [&context](const PodPtr& pod) {
    if (!context.stopping) RecoverPod(context, pod);
  };
  ForEachInParallel(earlier, recover);
  context.recovery =
      std::thread([&context, present, half_made, leftovers, recover] {
        ForEachInParallel(present, recover);
        ForEachInParallel(half_made, [&context](const PodPtr& pod) {
          UndoHalfMade(context, pod);
        });
        RemoveLeftovers(context, leftovers);
      });
  const auto deadline = std::chrono::steady_clock::now() + kHeadStart;
  for (const PodPtr& pod : present) (void)pod->known.WaitUntil(deadline);
  return absl::OkStatus();
}

}  // namespace pinion::runtime
