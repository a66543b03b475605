// Exclusive CPUs in the life of a container: claimed when it is created, in
// force before anything runs in its leaf, free again when it ends. The record
// keeps them over restarts.

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/unique_fd.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/partition.h"
#include "runtime/cpu/topology.h"
#include "runtime/cpu_request.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

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

// Its grant of before the restart; what contradicts goes to the shared pool.
void RestoreGrant(Context& context, Container& container) {
  auto grant = GrantOf(container.record.Get()->exclusive_cpus());
  if (grant.ok()) {
    const auto record = container.record.Get();
    const auto request = CpuRequestOf(container.pod->record.Get()->spec(),
                                      record->spec().resources());
    if (request.ok() && *request) {
      grant->partition = (*request)->partition;
      grant->names_memory = (*request)->names_memory;
    }
  }
  const absl::Status status =
      grant.ok() ? context.pinning->Restore(container.id, *grant)
                 : grant.status();
  if (status.ok()) return;
  Log(LogLevel::kError, "exclusive CPUs lost; it runs in the shared pool now",
      {{"container", container.id}, {"error", status.ToString()}});
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

bool MayRun(const state::ContainerRecord& record) {
  return record.state() == state::CONTAINER_CREATED ||
         record.state() == state::CONTAINER_RUNNING;
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
      *context.deps.metrics);
  return absl::OkStatus();
}

absl::Status ClaimCpus(Context& context, const state::PodRecord& pod,
                       state::ContainerRecord& record) {
  if (context.pinning == nullptr) return RefuseCpuAnnotations(pod.spec());
  PINION_ASSIGN_OR_RETURN(const std::optional<cpu::Request> request,
                          CpuRequestOf(pod.spec(), record.spec().resources()));
  if (!request) return absl::OkStatus();
  if (request->partition != cpu::Partition::kNone) {
    PINION_ASSIGN_OR_RETURN(const os::UniqueFd cgroup,
                            context.deps.container_cgroups->Open(pod.cgroup()));
    PINION_RETURN_IF_ERROR_AS(cgroup::CheckPartitions(cgroup.get()),
                              "cpu.pinion.dev/isolation");
  }
  PINION_ASSIGN_OR_RETURN(const cpu::Grant grant,
                          context.pinning->Claim(record.id(), *request));
  Record(grant, record);
  return absl::OkStatus();
}

absl::Status EnterCpus(Context& context, const state::PodRecord& pod,
                       const state::ContainerRecord& record) {
  if (context.pinning == nullptr || NamesCpus(record.spec().resources())) {
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
  PINION_ASSIGN_OR_RETURN(const std::optional<cpu::Request> request,
                          CpuRequestOf(pod.spec(), merged));
  if (!request) {
    return absl::FailedPreconditionError(absl::StrCat(
        "container ", record.id(), " has the exclusive CPUs ",
        record.exclusive_cpus().cpus(), ", and keeps exclusive ones while it ",
        "exists: ask for another whole number of them (cpu_quota n times ",
        "cpu_period, and cpu_shares, if set, 1024 n), not for part of a CPU, ",
        "other shares or a cpuset"));
  }
  if (request->count == now.cpus.size()) return absl::OkStatus();
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
  for (const PodPtr& pod : context.objects.Pods()) {
    const auto record = pod->record.Get();
    if (record->boot_id() != context.boot_id ||
        record->state() == state::POD_NOT_READY) {
      continue;  // nothing of it runs, or ever will
    }
    const absl::Status kept = KeepMonitorOnReservedCpus(context, *pod);
    if (!kept.ok() && !absl::IsNotFound(kept)) {
      Log(LogLevel::kWarning, "a monitor is not on the reserved CPUs",
          {{"pod", pod->id}, {"error", kept.ToString()}});
    }
    for (const ContainerPtr& container :
         context.objects.ContainersOf(pod->id)) {
      const auto of = container->record.Get();
      if (MayRun(*of) && of->has_exclusive_cpus()) {
        RestoreGrant(context, *container);
      }
      if (!NamesCpus(of->spec().resources())) WatchLeaf(context, *record, *of);
    }
  }
  const absl::Status spread = context.pinning->Spread();
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
