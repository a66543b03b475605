// UpdateContainerResources and UpdatePodSandboxResources: all or nothing.

#include "runtime/update_resources.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/limit_files.h"
#include "runtime/cpu_request.h"
#include "runtime/oom_score.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

void MergeMemory(const state::Resources& now, const state::Resources& changes,
                 state::Resources& out) {
  const int64_t limit = changes.memory_limit_bytes();
  const int64_t both = changes.memory_swap_limit_bytes();
  if (limit != 0) out.set_memory_limit_bytes(limit);
  if (both != 0) {
    out.set_memory_swap_limit_bytes(both);
  } else if (limit < 0 && now.memory_swap_limit_bytes() > 0) {
    // It counts both together, so there is none any more.
    out.set_memory_swap_limit_bytes(-1);
  } else if (limit > 0 && now.memory_swap_limit_bytes() > 0) {
    const int64_t swap = std::max<int64_t>(
        0, now.memory_swap_limit_bytes() - now.memory_limit_bytes());
    out.set_memory_swap_limit_bytes(limit > INT64_MAX - swap ? INT64_MAX
                                                             : limit + swap);
  }
}

void MergeHugePages(const state::Resources& changes, state::Resources& out) {
  for (const auto& change : changes.hugepage_limits()) {
    auto* const limits = out.mutable_hugepage_limits();
    const auto found = std::find_if(
        limits->begin(), limits->end(), [&change](const auto& limit) {
          return limit.page_size() == change.page_size();
        });
    if (found != limits->end()) {
      found->set_limit_bytes(change.limit_bytes());
    } else {
      *out.add_hugepage_limits() = change;
    }
  }
}

// Kernel first, record last: a crash in between leaves a record with the old
// values, and the kubelet asks again. (With the record first, it would take
// limits for given that are not in force.)
absl::Status UpdateRunning(Context& context, Container& container,
                           const state::Resources& changes,
                           const state::Resources& merged,
                           const std::function<absl::Status()>& commit) {
  const std::string cgroup = container.pod->record.Get()->cgroup();
  const auto record = container.record.Get();
  const auto leaf = context.deps.container_cgroups->Open(cgroup, container.id);
  PINION_RETURN_IF_ERROR(leaf.status());
  OomScoreChange oom;
  if (merged.oom_score_adj() != record->spec().resources().oom_score_adj()) {
    PINION_RETURN_IF_ERROR(
        oom.Apply(leaf->get(), static_cast<int>(merged.oom_score_adj())));
  }
  const std::set<std::string> touched =
      cgroup::TouchedFiles(record->spec().resources(), changes, merged);
  PINION_RETURN_IF_ERROR(context.deps.container_cgroups->Update(
      cgroup, container.id, merged, commit, &touched));
  oom.Commit();
  return absl::OkStatus();
}

}  // namespace

state::Resources Merge(const state::Resources& now,
                       const state::Resources& changes) {
  state::Resources out = now;
  if (changes.cpu_period_us() != 0) {
    out.set_cpu_period_us(changes.cpu_period_us());
  }
  if (changes.cpu_quota_us() != 0) out.set_cpu_quota_us(changes.cpu_quota_us());
  if (changes.cpu_shares() != 0) out.set_cpu_shares(changes.cpu_shares());
  MergeMemory(now, changes, out);
  if (changes.oom_score_adj() != 0) {
    out.set_oom_score_adj(changes.oom_score_adj());
  }
  if (!changes.cpuset_cpus().empty()) {
    out.set_cpuset_cpus(changes.cpuset_cpus());
  }
  if (!changes.cpuset_mems().empty()) {
    out.set_cpuset_mems(changes.cpuset_mems());
  }
  MergeHugePages(changes, out);
  for (const auto& [file, value] : changes.unified()) {
    (*out.mutable_unified())[file] = value;
  }
  return out;
}

absl::Status UpdateContainer(Context& context, const std::string& id,
                             const state::Resources& changes) {
  PINION_ASSIGN_OR_RETURN(const ContainerPtr container,
                          context.objects.FindContainer(id));
  const absl::MutexLock lock(&container->pod->operation);
  const auto record = container->record.Get();
  if (record->state() != state::CONTAINER_RUNNING &&
      record->state() != state::CONTAINER_CREATED) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", container->id, " has ended"));
  }
  const state::Resources merged = Merge(record->spec().resources(), changes);
  PINION_RETURN_IF_ERROR(context.deps.container_cgroups->Check(merged));
  const auto pod = container->pod->record.Get();
  CpuResize cpus(context, container->id);
  PINION_RETURN_IF_ERROR(cpus.Begin(*pod, *record, merged));
  const auto commit = [&] {
    const auto updated =
        container->record.Update([&](state::ContainerRecord& r) {
          *r.mutable_spec()->mutable_resources() = merged;
          cpus.Note(r);
          return true;
        });
    const absl::Status saved = context.records->Save(*updated);
    if (saved.ok()) {
      cpus.Keep();
      return saved;
    }
    container->record.Update([&record](state::ContainerRecord& r) {
      *r.mutable_spec()->mutable_resources() = record->spec().resources();
      if (record->has_exclusive_cpus()) {
        *r.mutable_exclusive_cpus() = record->exclusive_cpus();
      }
      return true;
    });
    return saved;
  };
  // Before the start there is no cgroup; StartContainer makes it with these.
  if (record->state() == state::CONTAINER_CREATED) return commit();
  // From now on the caller's: the pool's changes must not undo it.
  const bool leaves_pool =
      NamesCpus(merged) && !NamesCpus(record->spec().resources());
  if (leaves_pool) LeaveSharedCpus(context, container->id);
  const absl::Status status =
      UpdateRunning(context, *container, changes, merged, commit);
  UnguardIfEnded(context, *container->pod, *container);
  if (status.ok() && NamesCpus(changes)) {
    TellOfNamedCpus(context, container->id, merged);
  }
  if (status.ok() || !leaves_pool) return status;
  const absl::Status entered = EnterCpus(context, *pod, *record);
  if (!entered.ok()) {
    Log(LogLevel::kError, "a container left the shared CPUs",
        {{"container", container->id}, {"error", entered.ToString()}});
  }
  return status;
}

absl::Status UpdatePod(Context& context, const std::string& id,
                       const state::Resources& overhead,
                       const state::Resources& resources) {
  PINION_ASSIGN_OR_RETURN(const PodPtr pod, context.objects.FindPod(id));
  const absl::MutexLock lock(&pod->operation);
  const auto record = pod->record.Get();
  if (record->state() != state::POD_READY) {
    return absl::FailedPreconditionError(
        absl::StrCat("pod sandbox ", pod->id, " is not ready"));
  }
  const auto updated = pod->record.Update([&](state::PodRecord& r) {
    state::PodSpec* spec = r.mutable_spec();
    *spec->mutable_overhead() = Merge(spec->overhead(), overhead);
    *spec->mutable_resources() = Merge(spec->resources(), resources);
    return true;
  });
  const absl::Status saved = context.records->Save(*updated);
  if (saved.ok()) return saved;
  pod->record.Update([&record](state::PodRecord& r) {
    *r.mutable_spec()->mutable_overhead() = record->spec().overhead();
    *r.mutable_spec()->mutable_resources() = record->spec().resources();
    return true;
  });
  return saved;
}

}  // namespace pinion::runtime
