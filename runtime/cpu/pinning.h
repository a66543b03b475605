// Keeps containers on their CPUs: those with exclusive ones on these, all
// others on the shared pool, and monitors on the reserved ones. Whenever
// somebody gets or gives back CPUs, every leaf concerned is written at once:
// the others leave the CPUs before their new owner starts.
//
// An owner is a container's id, which is also the name of its leaf. Only
// leaves that were entered or watched are written.
//
// Thread-safe. Release, Forget, Watch and View touch memory only and never
// wait for a write.

#ifndef PINION_RUNTIME_CPU_PINNING_H_
#define PINION_RUNTIME_CPU_PINNING_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/cpu_set.h"
#include "metrics/metrics.h"
#include "runtime/cpu/allocator.h"

namespace pinion::cpu {

class Pinning {
 public:
  // Sets the CPUs, and the memory nodes unless `mems` is empty, of a leaf of a
  // pod's cgroup; the CPUs that are in force then. NotFound: no such leaf.
  using Write = std::function<absl::StatusOr<CpuSet>(
      const std::string& pod_cgroup, const std::string& leaf,
      const CpuSet& cpus, const CpuSet& mems)>;

  // Makes a leaf whose cpuset.cpus are `cpus` a partition, or, with kNone, an
  // ordinary cgroup again; success if there is no such leaf then.
  using SetPartition = std::function<absl::Status(
      const std::string& pod_cgroup, const std::string& leaf,
      const CpuSet& cpus, Partition partition)>;

  // What a pod's cgroup has now (cpuset.cpus.effective); none: not to be read.
  using Available =
      std::function<std::optional<CpuSet>(const std::string& pod_cgroup)>;

  struct Pools {
    CpuSet reserved;
    CpuSet shared;
    std::map<std::string, Grant> grants;
  };

  // `numa` is that of every request. For the gauges pinion_cpu_exclusive and
  // pinion_cpu_shared_pool: `metrics`, which outlives the object.
  Pinning(Allocator allocator, NumaPolicy numa, Write write,
          SetPartition set_partition, Available available,
          metrics::Registry& metrics);

  // Exclusive CPUs; everybody else has left them when it returns. Errors are
  // the allocator's, or that somebody cannot leave; nothing changes then. Who
  // is astray on other CPUs is no reason.
  absl::StatusOr<Grant> Claim(const std::string& owner, Request request)
      ABSL_LOCKS_EXCLUDED(spreading_, mutex_);

  // Another number of exclusive CPUs for who has some (Allocator::Resize). It
  // is on them when this returns, and who had to leave has left. Until
  // KeepResize or UndoResize nobody gets what was given back. Nothing changes
  // on an error.
  absl::StatusOr<Grant> Resize(const std::string& owner, Request request)
      ABSL_LOCKS_EXCLUDED(spreading_, mutex_);
  // Memory only: others get what is free with the next Spread.
  void KeepResize(const std::string& owner) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status UndoResize(const std::string& owner)
      ABSL_LOCKS_EXCLUDED(spreading_, mutex_);

  // What an owner had before a restart, and leaves that there are already;
  // Spread writes them.
  absl::Status Restore(const std::string& owner, const Grant& grant)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // `partition`: the CPUs of which the leaf may be one, from before;
  // `in_force`: it is, as its grant says, and Spread need not make it again.
  void Watch(const std::string& owner, const std::string& pod_cgroup,
             const CpuSet& partition = CpuSet(), bool in_force = false)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The owner's leaf was just made, with nothing in it: brought to its CPUs.
  // FailedPrecondition: the cgroup above cannot give them all.
  absl::Status Enter(const std::string& owner, const std::string& pod_cgroup)
      ABSL_LOCKS_EXCLUDED(spreading_, mutex_);

  // Its CPUs are free again; its leaf, if there is one, belongs to the pool
  // from the next Spread on. Whether it had any.
  bool Release(const std::string& owner) ABSL_LOCKS_EXCLUDED(mutex_);
  // The same, and its leaf is gone or no longer ours to write. Whether Spread
  // has something to do.
  bool Forget(const std::string& owner) ABSL_LOCKS_EXCLUDED(mutex_);
  // The same, once no write of its leaf is under way: what the caller writes
  // there then stays.
  bool Leave(const std::string& owner) ABSL_LOCKS_EXCLUDED(spreading_, mutex_);

  // Writes every leaf that is not where it belongs. The first failure, after
  // all were tried. Who has but some of its CPUs, as the cgroup above has no
  // more, is nobody's neighbour and no failure.
  absl::Status Spread() ABSL_LOCKS_EXCLUDED(spreading_, mutex_);

  // Looks at what the pods' cgroups have now, which a slice above may change,
  // and spreads. Who has lost all of its CPUs so is put on those of the pool
  // that are left (the kernel would put it on anybody's), and back when there
  // are some again.
  absl::Status Follow() ABSL_LOCKS_EXCLUDED(spreading_, mutex_);

  // The monitor's leaf of a pod: reserved CPUs only.
  absl::Status KeepMonitor(const std::string& pod_cgroup)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const Topology& topology() const { return topology_; }
  Pools View() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Leaf {
    std::string pod_cgroup;
    std::optional<CpuSet> written;
    // Empty: it is none.
    CpuSet partition;
  };
  struct Change {
    std::string owner;
    std::string pod_cgroup;
    CpuSet cpus;
    CpuSet mems;
    bool exclusive = false;
    // Some of its CPUs are not enough.
    bool whole = false;
    Partition partition = Partition::kNone;
    // The partition that the leaf is.
    CpuSet partitioned;
    // Of CPUs that it may be on now.
    bool leaves = true;
  };
  // A leaf that is not where it belongs.
  struct Astray {
    std::string owner;
    absl::Status status;
    std::optional<CpuSet> on;  // what it may run on; none: not known
  };

  Change Wanted(const std::string& owner, const std::string& pod_cgroup) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Where all of these are lost: those that it may be on meanwhile.
  void Shelter(Change& change) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Before its CPUs change, and where the leaf is gone.
  absl::Status EndPartition(const Change& change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(spreading_) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<Astray> EndForgottenPartitions()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(spreading_) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status MakePartition(const Change& change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(spreading_) ABSL_LOCKS_EXCLUDED(mutex_);
  // `on`: what the leaf may run on, if it fails.
  absl::Status WriteCpus(const Change& change, std::optional<CpuSet>* on)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(spreading_) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status WriteOne(const Change& change, std::optional<CpuSet>* on)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(spreading_) ABSL_LOCKS_EXCLUDED(mutex_);
  bool ForgetLeaf(const std::string& owner)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status UndoResizeLocked(const std::string& owner)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(spreading_) ABSL_LOCKS_EXCLUDED(mutex_);
  // `whole`: who is to have all of its CPUs; for others some are enough.
  std::vector<Astray> SpreadLocked(const std::string& whole = "")
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(spreading_) ABSL_LOCKS_EXCLUDED(mutex_);
  // Who spoils the grant of `owner`: itself, or whoever may run on its CPUs.
  absl::Status InTheWay(const std::vector<Astray>& astray,
                        const std::string& owner) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  static absl::Status FirstOf(const std::vector<Astray>& astray);
  void Measure() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Topology topology_;
  const NumaPolicy numa_;
  const Write write_;
  const SetPartition set_partition_;
  const Available available_;
  metrics::Gauge& exclusive_;
  metrics::Gauge& shared_pool_;

  // Held while leaves are written; taken before mutex_.
  absl::Mutex spreading_;
  mutable absl::Mutex mutex_;
  Allocator allocator_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Leaf> leaves_ ABSL_GUARDED_BY(mutex_);
  // Of pods' cgroups, when they were last looked at.
  std::map<std::string, CpuSet> available_in_ ABSL_GUARDED_BY(mutex_);
  // Partitions of leaves that were forgotten.
  std::vector<Change> forgotten_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::cpu

#endif  // PINION_RUNTIME_CPU_PINNING_H_
