// Exclusive CPUs in the life of a container: claimed when it is created, in
// force before anything runs in its leaf, free again when it ends. The record
// keeps them over restarts.

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/unique_fd.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/cpuset_files.h"
#include "runtime/cgroup/partition.h"
#include "runtime/cpu/topology.h"
#include "runtime/cpu_request.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

// How long a container may be where a change of a slice has put it.
constexpr std::chrono::seconds kFollowEvery{10};

constexpr char kSysfs[] = "/sys/devices/system";

// Those that changed hands are written behind the caller's back. What fails
// is tried again by whoever claims CPUs next, and fails that claim.
void SpreadLater(Context& context) {
  context.work->Add([&context] {
    const absl::Status status = context.pinning->Spread();
    if (status.ok()) return;
    Log(LogLevel::kWarning, "containers were not given CPUs that are free",
        {{"error", status.ToString()}});
  });
}

void Record(const cpu::Grant& grant, state::ContainerRecord& record) {
  record.mutable_exclusive_cpus()->set_cpus(grant.cpus.ToString());
  record.mutable_exclusive_cpus()->set_idle(grant.idle.ToString());
}

const char* KindOf(cpu::Partition partition) {
  return partition == cpu::Partition::kRoot ? "root" : "isolated";
}

// A partition of the leaf, or of one that is gone: then the cgroups above it
// that are still there.
absl::Status SetPartition(const cgroup::ContainerCgroups& cgroups,
                          const std::string& pod_cgroup,
                          const std::string& leaf, const CpuSet& cpus,
                          cpu::Partition partition) {
  const auto dir = cgroups.Open(pod_cgroup, leaf);
  if (partition != cpu::Partition::kNone) {
    PINION_RETURN_IF_ERROR(dir.status());
    return cgroup::MakePartition(dir->get(), cpus, KindOf(partition));
  }
  if (dir.ok()) return cgroup::EndPartition(dir->get(), cpus);
  if (!absl::IsNotFound(dir.status())) return dir.status();
  std::string above = pod_cgroup;
  while (above.size() > 1) {
    const auto there = cgroups.Open(above);
    if (there.ok()) return cgroup::GiveBackExclusive(there->get(), cpus);
    if (!absl::IsNotFound(there.status())) return there.status();
    above.erase(above.rfind('/'));
  }
  return absl::OkStatus();
}

absl::StatusOr<cpu::Grant> GrantOf(const state::ExclusiveCpus& recorded) {
  cpu::Grant grant;
  PINION_ASSIGN_OR_RETURN(grant.cpus, CpuSet::Parse(recorded.cpus()));
  PINION_ASSIGN_OR_RETURN(grant.idle, CpuSet::Parse(recorded.idle()));
  return grant;
}

// What is in force of a grant that is lost. Its cpuset is written with the
// pool's, or is the caller's own.
void EndLostPartition(Context& context, const state::PodRecord& pod,
                      const std::string& id, const CpuSet& cpus) {
  if (PartitionAskedFor(pod.spec()) == cpu::Partition::kNone) return;
  const absl::Status ended =
      SetPartition(*context.deps.container_cgroups, pod.cgroup(), id, cpus,
                   cpu::Partition::kNone);
  if (ended.ok()) return;
  Log(LogLevel::kError, "a partition of CPUs was not ended",
      {{"container", id}, {"error", ended.ToString()}});
}

// The memory nodes that came with its CPUs; a cpu.numa that is "none" by now
// wants none, either.
void FreeMemory(Context& context, const state::PodRecord& pod,
                const state::ContainerRecord& record) {
  if (NamesMemory(record.spec().resources())) return;
  const absl::Status freed = context.deps.container_cgroups->FreeMemoryNodes(
      pod.cgroup(), record.id());
  if (freed.ok() || absl::IsNotFound(freed)) return;
  Log(LogLevel::kError, "a container keeps the memory nodes of lost CPUs",
      {{"container", record.id()}, {"error", freed.ToString()}});
}

// Its grant of before the restart. One that contradicts the machine, or what
// the container asks for since (cpu.policy was "none" in between), is lost.
void RestoreGrant(Context& context, Container& container) {
  const auto pod = container.pod->record.Get();
  const auto record = container.record.Get();
  auto grant = GrantOf(record->exclusive_cpus());
  absl::Status status = grant.status();
  if (grant.ok()) {
    const auto request = CpuRequestOf(pod->spec(), record->spec().resources());
    status = CheckStillAskedFor(*grant, request);
    if (status.ok()) {
      grant->partition = (*request)->partition;
      grant->names_memory = (*request)->names_memory;
      status = context.pinning->Restore(container.id, *grant);
    }
  }
  if (!status.ok() || context.options.cpu.numa == cpu::NumaPolicy::kNone) {
    FreeMemory(context, *pod, *record);
  }
  if (status.ok()) return;
  Log(LogLevel::kError,
      NamesCpus(record->spec().resources())
          ? "exclusive CPUs lost; it runs on those that it names now"
          : "exclusive CPUs lost; it runs in the shared pool now",
      {{"container", container.id}, {"error", status.ToString()}});
  if (grant.ok()) EndLostPartition(context, *pod, container.id, grant->cpus);
  const auto changed = container.record.Update([](state::ContainerRecord& r) {
    r.clear_exclusive_cpus();
    return true;
  });
  context.records->SaveLater(changed);
}

// As the kernel has it now; "-" before the container starts.
std::string PartitionState(Context& context, const std::string& pod_cgroup,
                           const std::string& leaf) {
  const auto dir = context.deps.container_cgroups->Open(pod_cgroup, leaf);
  if (!dir.ok()) return "-";
  return cgroup::PartitionOf(dir->get()).value_or("-");
}

// What the cgroup of a pod has now: a slice above it may be given fewer CPUs
// than the machine has. None where there is no such file.
std::optional<CpuSet> CpusOf(Context& context, const std::string& pod_cgroup) {
  const auto dir = context.deps.container_cgroups->Open(pod_cgroup);
  if (!dir.ok()) return std::nullopt;
  auto cpus = cgroup::InForce(dir->get(), cgroup::kCpus);
  if (!cpus.ok()) return std::nullopt;
  return *std::move(cpus);
}

// Where an owner really runs, if that is not on its CPUs alone; "-" where
// nothing keeps it there.
std::string AstrayOn(Context& context, const std::string& pod_cgroup,
                     const std::string& leaf, const CpuSet& cpus) {
  const auto dir = context.deps.container_cgroups->Open(pod_cgroup, leaf);
  if (!dir.ok()) return "";  // not made yet, or gone
  const auto in_force = cgroup::InForce(dir->get(), cgroup::kCpus);
  if (!in_force.ok()) return "-";
  return *in_force == cpus ? "" : in_force->ToString();
}

// Its leaf may be a partition still, also if it has ended, or the leaf has
// gone, while no daemon was there.
void WatchLeaf(Context& context, const state::PodRecord& pod,
               const state::ContainerRecord& record) {
  const auto grant = GrantOf(record.exclusive_cpus());
  const auto request = CpuRequestOf(pod.spec(), record.spec().resources());
  const bool partitioned = record.has_exclusive_cpus() && grant.ok() &&
                           request.ok() && *request &&
                           (*request)->partition != cpu::Partition::kNone;
  if (!partitioned) return context.pinning->Watch(record.id(), pod.cgroup());
  context.pinning->Watch(record.id(), pod.cgroup(), grant->cpus,
                         PartitionState(context, pod.cgroup(), record.id()) ==
                             KindOf((*request)->partition));
}

// For as long as the daemon runs. `said`: what was logged last.
void FollowCgroups(Context& context, const std::string& said) {
  context.reactor->After(kFollowEvery, [&context, said] {
    context.work->Add([&context, said] {
      const absl::Status status = context.pinning->Follow();
      const std::string text = status.ok() ? "" : status.ToString();
      if (!status.ok() && text != said) {
        Log(LogLevel::kWarning,
            "containers are not on the CPUs that are theirs",
            {{"error", text}});
      }
      FollowCgroups(context, text);
    });
  });
}

// Whose grant counts more if two records have the same CPUs: the end of one
// that freed them may not have been written when a daemon was killed.
enum class Claimant { kRuns, kMayRun, kHasEnded };
Claimant ClaimantOf(Context& context, const std::string& pod_cgroup,
                    const state::ContainerRecord& record) {
  const auto populated =
      context.deps.container_cgroups->IsPopulated(pod_cgroup, record.id());
  if (populated.ok() && *populated) return Claimant::kRuns;
  if (record.state() != state::CONTAINER_RUNNING) return Claimant::kMayRun;
  return populated.ok() || absl::IsNotFound(populated.status())
             ? Claimant::kHasEnded
             : Claimant::kMayRun;
}

bool MayRun(const state::ContainerRecord& record) {
  return record.state() == state::CONTAINER_CREATED ||
         record.state() == state::CONTAINER_RUNNING;
}

std::string NameOf(const Container& container) {
  const auto pod = container.pod->record.Get();
  return absl::StrCat(pod->spec().namespace_(), "/", pod->spec().name(), "/",
                      container.record.Get()->spec().name());
}

// Containers whose callers named some of these CPUs for them: they are obeyed,
// whoever has the CPUs exclusively.
std::vector<std::string> NamedOn(Context& context, const CpuSet& cpus) {
  std::vector<std::string> names;
  for (const ContainerPtr& container : context.objects.Containers()) {
    const auto record = container->record.Get();
    if (!MayRun(*record)) continue;
    const CpuSet named = NamedCpus(record->spec().resources());
    if (!(named & cpus).empty()) names.push_back(NameOf(*container));
  }
  return names;
}

}  // namespace

absl::Status MakePinning(Context& context) {
  const CpuOptions& options = context.options.cpu;
  if (!options.pinning) return absl::OkStatus();
  PINION_ASSIGN_OR_RETURN_AS(cpu::Topology topology,
                             cpu::Topology::Read(kSysfs), "read the CPUs");
  PINION_ASSIGN_OR_RETURN_AS(
      cpu::Allocator allocator,
      cpu::Allocator::Create(std::move(topology), options.reserved),
      "cpu.reserved");
  if (allocator.reserved() != options.reserved) {
    Log(LogLevel::kWarning,
        "reserved CPUs are offline; the others stay reserved",
        {{"cpu.reserved", options.reserved.ToString()},
         {"online", allocator.reserved().ToString()}});
  }
  context.pinning = std::make_unique<cpu::Pinning>(
      std::move(allocator), options.numa,
      [cgroups = context.deps.container_cgroups](
          const std::string& pod_cgroup, const std::string& leaf,
          const CpuSet& cpus, const CpuSet& mems) {
        return cgroups->SetCpus(pod_cgroup, leaf, cpus, mems);
      },
      [cgroups = context.deps.container_cgroups](
          const std::string& pod_cgroup, const std::string& leaf,
          const CpuSet& cpus, cpu::Partition partition) {
        return SetPartition(*cgroups, pod_cgroup, leaf, cpus, partition);
      },
      [&context](const std::string& pod_cgroup) {
        return CpusOf(context, pod_cgroup);
      },
      *context.deps.metrics);
  return absl::OkStatus();
}

absl::Status ClaimCpus(Context& context, const state::PodRecord& pod,
                       state::ContainerRecord& record) {
  if (context.pinning == nullptr) return RefuseCpuAnnotations(pod.spec());
  PINION_ASSIGN_OR_RETURN(std::optional<cpu::Request> request,
                          CpuRequestOf(pod.spec(), record.spec().resources()));
  if (!request) return absl::OkStatus();
  request->within = CpusOf(context, pod.cgroup());
  if (request->partition != cpu::Partition::kNone) {
    PINION_ASSIGN_OR_RETURN(const os::UniqueFd cgroup,
                            context.deps.container_cgroups->Open(pod.cgroup()));
    PINION_RETURN_IF_ERROR_AS(cgroup::CheckPartitions(cgroup.get()),
                              "cpu.pinion.dev/isolation");
  }
  PINION_ASSIGN_OR_RETURN(const cpu::Grant grant,
                          context.pinning->Claim(record.id(), *request));
  Record(grant, record);
  const std::vector<std::string> others = NamedOn(context, grant.cpus);
  if (!others.empty()) {
    Log(LogLevel::kWarning, "exclusive CPUs were named for others, too",
        {{"container", record.id()},
         {"cpus", grant.cpus.ToString()},
         {"others", absl::StrJoin(others, " ")}});
  }
  return absl::OkStatus();
}

void TellOfNamedCpus(Context& context, const std::string& id,
                     const state::Resources& resources) {
  if (context.pinning == nullptr) return;
  const CpuSet named = NamedCpus(resources);
  for (const auto& [owner, grant] : context.pinning->View().grants) {
    if ((named & grant.cpus).empty()) continue;
    Log(LogLevel::kWarning, "a container names CPUs that are another's",
        {{"container", id},
         {"cpus", named.ToString()},
         {"owner", owner},
         {"exclusive", grant.cpus.ToString()}});
  }
}

absl::Status EnterCpus(Context& context, const state::PodRecord& pod,
                       const state::ContainerRecord& record) {
  if (context.pinning == nullptr) return absl::OkStatus();
  if (NamesCpus(record.spec().resources())) {
    TellOfNamedCpus(context, record.id(), record.spec().resources());
    return absl::OkStatus();
  }
  return context.pinning->Enter(record.id(), pod.cgroup());
}

void ReleaseCpus(Context& context, const std::string& id) {
  if (context.pinning == nullptr) return;
  if (context.pinning->Release(id)) SpreadLater(context);
}

void LeaveSharedCpus(Context& context, const std::string& id) {
  if (context.pinning == nullptr) return;
  if (context.pinning->Leave(id)) SpreadLater(context);
}

void ForgetCpus(Context& context, const std::string& id) {
  if (context.pinning == nullptr) return;
  if (context.pinning->Forget(id)) SpreadLater(context);
}

absl::Status CpuResize::Begin(const state::PodRecord& pod,
                              const state::ContainerRecord& record,
                              const state::Resources& merged) {
  if (context_.pinning == nullptr || !record.has_exclusive_cpus()) {
    return absl::OkStatus();
  }
  PINION_ASSIGN_OR_RETURN(const cpu::Grant now,
                          GrantOf(record.exclusive_cpus()));
  PINION_ASSIGN_OR_RETURN(std::optional<cpu::Request> request,
                          CpuRequestOf(pod.spec(), merged));
  if (!request) {
    return absl::FailedPreconditionError(absl::StrCat(
        "container ", record.id(), " has the exclusive CPUs ",
        record.exclusive_cpus().cpus(), ", and keeps exclusive ones while it ",
        "exists: ask for another whole number of them (cpu_quota n times ",
        "cpu_period, and cpu_shares, if set, 1024 n), not for part of a CPU, ",
        "other shares or a cpuset"));
  }
  if (request->count == now.cpus.size() &&
      request->names_memory == NamesMemory(record.spec().resources())) {
    return absl::OkStatus();
  }
  request->within = CpusOf(context_, pod.cgroup());
  PINION_ASSIGN_OR_RETURN(grant_,
                          context_.pinning->Resize(container_, *request));
  return absl::OkStatus();
}

void CpuResize::Note(state::ContainerRecord& record) const {
  if (grant_) Record(*grant_, record);
}

void CpuResize::Keep() {
  kept_ = true;
  if (!grant_) return;
  context_.pinning->KeepResize(container_);
  SpreadLater(context_);
}

CpuResize::~CpuResize() {
  if (kept_ || !grant_) return;
  const absl::Status undone = context_.pinning->UndoResize(container_);
  if (undone.ok()) return;
  Log(LogLevel::kError, "exclusive CPUs of before a failed update are not back",
      {{"container", container_}, {"error", undone.ToString()}});
}

absl::Status KeepMonitorOnReservedCpus(Context& context, const Pod& pod) {
  if (context.pinning == nullptr) return absl::OkStatus();
  return Annotate(context.pinning->KeepMonitor(pod.record.Get()->cgroup()),
                  "keep the pod's monitor on the reserved CPUs");
}

void RestoreCpus(Context& context) {
  if (context.pinning == nullptr) return;
  std::vector<std::pair<Claimant, ContainerPtr>> claimants;
  for (const PodPtr& pod : context.objects.Pods()) {
    const auto record = pod->record.Get();
    if (record->boot_id() != context.boot_id ||
        record->state() == state::POD_NOT_READY) {
      continue;  // nothing of it runs, or ever will
    }
    // Before their cpusets are written: those are guarded with the rest.
    {
      const absl::MutexLock lock(&pod->operation);
      GuardLimits(context, *pod);
    }
    const absl::Status kept = KeepMonitorOnReservedCpus(context, *pod);
    if (!kept.ok() && !absl::IsNotFound(kept)) {
      Log(LogLevel::kWarning, "a monitor is not on the reserved CPUs",
          {{"pod", pod->id}, {"error", kept.ToString()}});
    }
    for (ContainerPtr& container : context.objects.ContainersOf(pod->id)) {
      const Claimant claimant =
          ClaimantOf(context, record->cgroup(), *container->record.Get());
      claimants.emplace_back(claimant, std::move(container));
    }
  }
  std::stable_sort(
      claimants.begin(), claimants.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [claimant, container] : claimants) {
    const auto record = container->record.Get();
    if (MayRun(*record) && record->has_exclusive_cpus()) {
      RestoreGrant(context, *container);
    }
    if (!NamesCpus(record->spec().resources())) {
      WatchLeaf(context, *container->pod->record.Get(), *record);
    }
  }
  const absl::Status spread = context.pinning->Follow();
  FollowCgroups(context, "");
  if (spread.ok()) return;
  Log(LogLevel::kError, "containers are not on the CPUs that are theirs",
      {{"error", spread.ToString()}});
}

absl::StatusOr<CpuView> ViewCpus(Context& context) {
  CpuView view;
  if (context.pinning == nullptr) {
    PINION_ASSIGN_OR_RETURN(const cpu::Topology topology,
                            cpu::Topology::Read(kSysfs));
    view.cpus = topology.cpus();
    view.shared = topology.all();
    return view;
  }
  const cpu::Pinning::Pools pools = context.pinning->View();
  view.pinning = true;
  view.cpus = context.pinning->topology().cpus();
  view.reserved = pools.reserved;
  view.shared = pools.shared;
  for (const auto& [id, grant] : pools.grants) {
    CpuOwner owner;
    owner.container_id = id;
    owner.cpus = grant.cpus;
    owner.idle = grant.idle;
    // Not yet there while it is being created.
    if (const auto container = context.objects.FindContainer(id);
        container.ok()) {
      const auto pod = (*container)->pod->record.Get();
      owner.container_name = (*container)->record.Get()->spec().name();
      owner.pod_name = pod->spec().name();
      owner.pod_namespace = pod->spec().namespace_();
      owner.shared_with = NamedOn(context, grant.cpus);
      owner.astray_on = AstrayOn(context, pod->cgroup(), id, grant.cpus);
      if (grant.partition != cpu::Partition::kNone) {
        owner.partition = PartitionState(context, pod->cgroup(), id);
      }
    }
    view.owners.push_back(std::move(owner));
  }
  std::sort(view.owners.begin(), view.owners.end(),
            [](const CpuOwner& a, const CpuOwner& b) {
              return *a.cpus.begin() < *b.cpus.begin();
            });
  return view;
}

}  // namespace pinion::runtime
