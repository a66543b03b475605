#include "runtime/cpu/pinning.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::cpu {

Pinning::Pinning(Allocator allocator, NumaPolicy numa, Write write,
                 SetPartition set_partition, Available available,
                 metrics::Registry& metrics)
    : topology_(allocator.topology()),
      numa_(numa),
      write_(std::move(write)),
      set_partition_(std::move(set_partition)),
      available_(std::move(available)),
      exclusive_(metrics.AddGauge("pinion_cpu_exclusive",
                                  "CPUs that belong to one container each, "
                                  "idle siblings included.")),
      shared_pool_(metrics.AddGauge(
          "pinion_cpu_shared_pool",
          "CPUs that containers without CPUs of their own run on.")),
      allocator_(std::move(allocator)) {
  const absl::MutexLock lock(&mutex_);
  Measure();
}

void Pinning::Measure() {
  const size_t shared = allocator_.Shared().size();
  exclusive_.Set(static_cast<double>(topology_.all().size() - shared));
  shared_pool_.Set(static_cast<double>(shared));
}

Pinning::Change Pinning::Wanted(const std::string& owner,
                                const std::string& pod_cgroup) const {
  Change change;
  change.owner = owner;
  change.pod_cgroup = pod_cgroup;
  const auto grant = allocator_.grants().find(owner);
  change.exclusive = grant != allocator_.grants().end();
  if (!change.exclusive) {
    change.cpus = allocator_.Shared();
  } else {
    change.cpus = grant->second.cpus;
    change.partition = grant->second.partition;
    if (numa_ != NumaPolicy::kNone && !grant->second.names_memory) {
      change.mems = grant->second.nodes;
    }
  }
  return change;
}

void Pinning::Shelter(Change& change) const {
  // A partition's CPUs are its own: the cgroups above have them no more.
  if (change.partition != Partition::kNone || !change.partitioned.empty()) {
    return;
  }
  const auto available = available_in_.find(change.pod_cgroup);
  if (available == available_in_.end() ||
      !(change.cpus & available->second).empty()) {
    return;
  }
  CpuSet left = allocator_.Shared() & available->second;
  if (left.empty()) return;
  change.cpus = std::move(left);
  change.mems = CpuSet();
  change.exclusive = false;
}

absl::Status Pinning::EndPartition(const Change& change) {
  PINION_RETURN_IF_ERROR(set_partition_(change.pod_cgroup, change.owner,
                                        change.partitioned, Partition::kNone));
  const absl::MutexLock lock(&mutex_);
  const auto leaf = leaves_.find(change.owner);
  if (leaf != leaves_.end()) leaf->second.partition = CpuSet();
  return absl::OkStatus();
}

// Before anybody else makes one of the same CPUs.
std::vector<Pinning::Astray> Pinning::EndForgottenPartitions() {
  std::vector<Change> forgotten;
  {
    const absl::MutexLock lock(&mutex_);
    forgotten.swap(forgotten_);
  }
  std::vector<Astray> astray;
  for (const Change& change : forgotten) {
    const absl::Status ended = EndPartition(change);
    if (ended.ok()) continue;
    astray.push_back({change.owner, ended, change.partitioned});
    const absl::MutexLock lock(&mutex_);
    forgotten_.push_back(change);  // for the next one
  }
  return astray;
}

absl::Status Pinning::WriteCpus(const Change& change,
                                std::optional<CpuSet>* on) {
  {
    const absl::MutexLock lock(&mutex_);
    if (leaves_.count(change.owner) == 0) return absl::OkStatus();
  }
  const auto effective =
      write_(change.pod_cgroup, change.owner, change.cpus, change.mems);
  const absl::MutexLock lock(&mutex_);
  const auto leaf = leaves_.find(change.owner);
  if (leaf == leaves_.end()) return absl::OkStatus();  // forgotten meanwhile
  leaf->second.written.reset();
  if (absl::IsNotFound(effective.status())) {
    leaves_.erase(leaf);
    return effective.status();
  }
  PINION_RETURN_IF_ERROR(effective.status());
  *on = *effective;
  // A cpuset of which nothing is to be had counts as none at all: the kernel
  // falls back to what the parent has.
  if (change.whole ? *effective != change.cpus
                   : !change.cpus.ContainsAll(*effective)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the ", change.exclusive ? "exclusive" : "shared",
                     " CPUs ", change.cpus.ToString(), " are not to be had in ",
                     change.pod_cgroup, ": cpuset.cpus.effective of container ",
                     change.owner, " is \"", effective->ToString(), "\""));
  }
  leaf->second.written = change.cpus;
  return absl::OkStatus();
}

absl::Status Pinning::MakePartition(const Change& change) {
  {
    const absl::MutexLock lock(&mutex_);
    const auto leaf = leaves_.find(change.owner);
    if (leaf == leaves_.end()) return absl::OkStatus();  // forgotten meanwhile
    // Noted before it is made: whoever forgets the leaf now ends it.
    leaf->second.partition = change.cpus;
  }
  const absl::Status made = set_partition_(change.pod_cgroup, change.owner,
                                           change.cpus, change.partition);
  if (made.ok()) return made;
  const absl::MutexLock lock(&mutex_);
  const auto leaf = leaves_.find(change.owner);
  // So that the next Spread tries again.
  if (leaf != leaves_.end()) leaf->second.written.reset();
  return made;
}

absl::Status Pinning::WriteOne(const Change& change,
                               std::optional<CpuSet>* on) {
  on->reset();
  if (!change.partitioned.empty()) {
    PINION_RETURN_IF_ERROR(EndPartition(change));
  }
  PINION_RETURN_IF_ERROR(WriteCpus(change, on));
  return change.partition == Partition::kNone ? absl::OkStatus()
                                              : MakePartition(change);
}

std::vector<Pinning::Astray> Pinning::SpreadLocked(const std::string& whole) {
  std::vector<Astray> astray = EndForgottenPartitions();
  std::vector<Change> changes;
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& [owner, leaf] : leaves_) {
      Change change = Wanted(owner, leaf.pod_cgroup);
      change.partitioned = leaf.partition;
      Shelter(change);
      if (leaf.written == change.cpus) continue;
      change.leaves = !leaf.written || !leaf.partition.empty() ||
                      !change.cpus.ContainsAll(*leaf.written);
      change.whole = owner == whole;
      changes.push_back(std::move(change));
    }
  }
  // Who has to leave a CPU does so before somebody else comes.
  std::stable_partition(changes.begin(), changes.end(),
                        [](const Change& change) { return change.leaves; });
  for (const Change& change : changes) {
    std::optional<CpuSet> on;
    const absl::Status status = WriteOne(change, &on);
    // A leaf that is gone has nothing that could run anywhere.
    if (status.ok() || absl::IsNotFound(status)) continue;
    astray.push_back({change.owner, status, std::move(on)});
  }
  return astray;
}

absl::Status Pinning::FirstOf(const std::vector<Astray>& astray) {
  return astray.empty() ? absl::OkStatus() : astray.front().status;
}

absl::Status Pinning::InTheWay(const std::vector<Astray>& astray,
                               const std::string& owner) const {
  const absl::MutexLock lock(&mutex_);
  const auto grant = allocator_.grants().find(owner);
  for (const Astray& one : astray) {
    const bool away =
        one.owner != owner && one.on &&
        (grant == allocator_.grants().end() ||
         ((grant->second.cpus | grant->second.idle) & *one.on).empty());
    if (!away) return one.status;
  }
  return absl::OkStatus();
}

absl::Status Pinning::Spread() {
  const absl::MutexLock lock(&spreading_);
  return FirstOf(SpreadLocked());
}

absl::Status Pinning::Follow() {
  const absl::MutexLock lock(&spreading_);
  std::set<std::string> pods;
  {
    const absl::MutexLock memory(&mutex_);
    for (const auto& [owner, leaf] : leaves_) pods.insert(leaf.pod_cgroup);
  }
  std::map<std::string, CpuSet> now;
  for (const std::string& pod : pods) {
    if (auto cpus = available_(pod)) now[pod] = *std::move(cpus);
  }
  {
    const absl::MutexLock memory(&mutex_);
    available_in_ = std::move(now);
  }
  return FirstOf(SpreadLocked());
}

absl::StatusOr<Grant> Pinning::Claim(const std::string& owner,
                                     Request request) {
  request.numa = numa_;
  const absl::MutexLock lock(&spreading_);
  absl::StatusOr<Grant> grant;
  {
    const absl::MutexLock memory(&mutex_);
    grant = allocator_.Allocate(owner, request);
    Measure();
  }
  PINION_RETURN_IF_ERROR(grant.status());
  const absl::Status spread = InTheWay(SpreadLocked(), owner);
  if (spread.ok()) return grant;
  Release(owner);
  (void)SpreadLocked();  // the first failure is the one to tell
  return Annotate(spread, "clear the way for exclusive CPUs");
}

absl::StatusOr<Grant> Pinning::Resize(const std::string& owner,
                                      Request request) {
  request.numa = numa_;
  const absl::MutexLock lock(&spreading_);
  absl::StatusOr<Grant> grant;
  {
    const absl::MutexLock memory(&mutex_);
    grant = allocator_.Resize(owner, request);
    Measure();
  }
  PINION_RETURN_IF_ERROR(grant.status());
  const absl::Status spread = InTheWay(SpreadLocked(owner), owner);
  if (spread.ok()) return grant;
  (void)UndoResizeLocked(owner);  // the first failure is the one to tell
  return Annotate(spread, "change the exclusive CPUs");
}

void Pinning::KeepResize(const std::string& owner) {
  const absl::MutexLock lock(&mutex_);
  allocator_.KeepResize(owner);
  Measure();
}

absl::Status Pinning::UndoResize(const std::string& owner) {
  const absl::MutexLock lock(&spreading_);
  return UndoResizeLocked(owner);
}

absl::Status Pinning::UndoResizeLocked(const std::string& owner) {
  {
    const absl::MutexLock memory(&mutex_);
    allocator_.UndoResize(owner);
    Measure();
  }
  return FirstOf(SpreadLocked());
}

absl::Status Pinning::Restore(const std::string& owner, const Grant& grant) {
  const absl::MutexLock lock(&mutex_);
  const absl::Status status = allocator_.Restore(owner, grant);
  Measure();
  return status;
}

void Pinning::Watch(const std::string& owner, const std::string& pod_cgroup,
                    const CpuSet& partition, bool in_force) {
  const absl::MutexLock lock(&mutex_);
  leaves_[owner] = {pod_cgroup,
                    in_force ? std::optional<CpuSet>(partition) : std::nullopt,
                    partition};
}

absl::Status Pinning::Enter(const std::string& owner,
                            const std::string& pod_cgroup) {
  const absl::MutexLock lock(&spreading_);
  const std::optional<CpuSet> available = available_(pod_cgroup);
  Change change;
  {
    const absl::MutexLock memory(&mutex_);
    if (available) available_in_[pod_cgroup] = *available;
    leaves_[owner] = {pod_cgroup, std::nullopt, CpuSet()};
    change = Wanted(owner, pod_cgroup);
    change.whole = change.exclusive;
  }
  absl::Status status = InTheWay(EndForgottenPartitions(), owner);
  std::optional<CpuSet> on;
  if (status.ok()) status = WriteOne(change, &on);
  // Who could not leave its CPUs before must have left them now.
  if (status.ok() && change.exclusive) {
    status = InTheWay(SpreadLocked(), owner);
  }
  if (status.ok()) return status;
  const absl::MutexLock memory(&mutex_);
  ForgetLeaf(owner);
  return status;
}

bool Pinning::Release(const std::string& owner) {
  const absl::MutexLock lock(&mutex_);
  const bool had = allocator_.grants().count(owner) != 0;
  allocator_.Release(owner);
  if (had) Measure();
  return had;
}

bool Pinning::ForgetLeaf(const std::string& owner) {
  const auto leaf = leaves_.find(owner);
  if (leaf == leaves_.end()) return false;
  const bool partitioned = !leaf->second.partition.empty();
  if (partitioned) {
    Change change;
    change.owner = owner;
    change.pod_cgroup = leaf->second.pod_cgroup;
    change.partitioned = leaf->second.partition;
    forgotten_.push_back(std::move(change));
  }
  leaves_.erase(leaf);
  return partitioned;
}

bool Pinning::Forget(const std::string& owner) {
  const bool had = Release(owner);
  const absl::MutexLock lock(&mutex_);
  return ForgetLeaf(owner) || had;
}

bool Pinning::Leave(const std::string& owner) {
  const absl::MutexLock lock(&spreading_);
  return Forget(owner);
}

absl::Status Pinning::KeepMonitor(const std::string& pod_cgroup) {
  CpuSet reserved;
  {
    const absl::MutexLock lock(&mutex_);
    reserved = allocator_.reserved();
  }
  PINION_ASSIGN_OR_RETURN(const CpuSet effective,
                          write_(pod_cgroup, "monitor", reserved, CpuSet()));
  if (reserved.ContainsAll(effective)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the reserved CPUs ", reserved.ToString(), " are not to be had in ",
      pod_cgroup, ": cpuset.cpus.effective of its monitor is \"",
      effective.ToString(), "\""));
}

Pinning::Pools Pinning::View() const {
  const absl::MutexLock lock(&mutex_);
  return {allocator_.reserved(), allocator_.Shared(), allocator_.grants()};
}

}  // namespace pinion::cpu
