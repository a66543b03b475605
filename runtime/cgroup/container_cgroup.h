// A container's leaf below its pod's cgroup: limits, membership, kill, OOM.
//
// Thread-safe; operations on one leaf are serialised by the caller.

#ifndef PINION_RUNTIME_CGROUP_CONTAINER_CGROUP_H_
#define PINION_RUNTIME_CGROUP_CONTAINER_CGROUP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/cpu_set.h"
#include "metrics/metrics.h"
#include "os/unique_fd.h"
#include "runtime/cgroup/drift.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "state.pb.h"

namespace pinion::cgroup {

// One device rule of the cgroup-v2 eBPF filter.
struct DeviceRule {
  char type = 'c';     // 'b' or 'c'
  int64_t major = -1;  // -1: any
  int64_t minor = -1;  // -1: any
  std::string access;  // subset of "rwm"
};

// Of the pod's monitor, beside those of its containers.
inline constexpr char kMonitorLeaf[] = "monitor";

class DeviceFilters;
class DriftGuard;
class LimitBook;
class Promises;
struct BookedCgroup;
struct Protection;
struct Setting;
struct WriteOptions;

struct ContainerCgroupsOptions {
  // memory.oom.group=1 for every leaf whose resources say nothing of it. Off:
  // the kubelet asks for it itself in `unified`, unless its
  // singleProcessOOMKill forbids it.
  bool oom_group = false;
  // What becomes of limits that something else changes (drift_guard.h).
  DriftMode drift = DriftMode::kOff;
  // Tells whoever may set a pod's cgroup back (systemd) what it promises; only
  // of pods that promise something, or did. May be empty.
  std::function<absl::Status(const std::string& pod_path, const Protection&)>
      keep_protection = nullptr;
  // For pinion_cgroup_ignored_limits_total{file} and the drift guard's; may be
  // null. Outlives the object.
  metrics::Registry* metrics = nullptr;
};

class ContainerCgroups {
 public:
  ContainerCgroups(Hierarchy hierarchy, MissingControllers missing,
                   ContainerCgroupsOptions options = {});
  ~ContainerCgroups();

  // Starts the drift guard, if options say so; once, before the rest is used.
  absl::Status StartGuard();
  // For a daemon that ends without destroying this: nobody is guarded, or held
  // by its memory.high (memory_hold.h), any more.
  void EndGuard();

  // From now on the guard keeps what this pod's cgroup has, or this leaf, in
  // which `resources` are in force; and the pod is promised the memory that its
  // leaves are. Create, Update and Remove see to that themselves: these are for
  // new pods, and for what is there when the daemon starts. What is not there
  // is left out. `owed`: an earlier daemon may have promised the pod more.
  void GuardPod(const std::string& pod_path, bool owed = false);
  void Guard(const std::string& pod_path, const std::string& container_id,
             const state::Resources& resources);
  // No longer: a pod with all its leaves, or one leaf (its path). Before it is
  // ended, since nothing is to be repaired then. Whether memory was promised to
  // it: the pod, if it goes on, is then to be promised less.
  bool Unguard(const std::string& path);
  // That, for a pod of which a leaf has ended: quick, so what else keeps the
  // promise (systemd) is not told before the leaf is removed, or another one
  // asks for something.
  void LowerProtection(const std::string& pod_path);

  // Checks limits without touching anything. InvalidArgument: malformed;
  // FailedPrecondition: a controller that is missing is needed.
  absl::Status Check(const state::Resources& resources) const;

  // mkdir of the leaf <pod path>/<container id>, with every limit in force
  // before anything runs in it. Exists already: brought to these limits.
  // A failure leaves no leaf.
  absl::StatusOr<os::UniqueFd> Create(const std::string& pod_path,
                                      const std::string& container_id,
                                      const state::Resources& resources);

  // Writes what differs; all or nothing, read back. `commit`, if there is
  // one, is called when all of it is in force; if it fails, all is undone.
  // `only`: these files (TouchedFiles); null: all.
  absl::Status Update(const std::string& pod_path,
                      const std::string& container_id,
                      const state::Resources& resources,
                      const std::function<absl::Status()>& commit = nullptr,
                      const std::set<std::string>* only = nullptr);

  // Just cpuset.cpus of the leaf (or kMonitorLeaf), and cpuset.mems unless
  // `mems` is empty. What the kernel made of it: cpuset.cpus.effective. Without
  // the controller: FailedPrecondition, or, where that is ignored, `cpus`.
  // NotFound: no leaf. Guarded with the leaf's other limits, or, of the
  // monitor's, from now on.
  absl::StatusOr<CpuSet> SetCpus(const std::string& pod_path,
                                 const std::string& leaf, const CpuSet& cpus,
                                 const CpuSet& mems);

  // cpuset.mems of the leaf, which SetCpus wrote: it is to have the memory of
  // the pod's cgroup again. That by name if something runs in it, for then the
  // kernel takes no empty list (ENOSPC). Nothing without the controller.
  // NotFound: no leaf.
  absl::Status FreeMemoryNodes(const std::string& pod_path,
                               const std::string& container_id);

  // Attaches the device filter (replacing the one there is). Everything not
  // listed is denied.
  absl::Status SetDevices(int leaf_fd, const std::vector<DeviceRule>& rules);

  // A child cgroup for one exec; its directory's descriptor.
  absl::StatusOr<os::UniqueFd> CreateExec(const std::string& pod_path,
                                          const std::string& container_id,
                                          const std::string& exec_id);

  // cgroup.kill of the leaf, or of one exec: the whole tree gets SIGKILL.
  // Missing is success.
  absl::Status Kill(const std::string& pod_path,
                    const std::string& container_id);
  absl::Status KillExec(const std::string& pod_path,
                        const std::string& container_id,
                        const std::string& exec_id);

  // Kills, waits until it is empty (cgroup.events, no polling), removes it.
  // Missing is success.
  absl::Status Remove(const std::string& pod_path,
                      const std::string& container_id);
  // Removes the exec's cgroup if nothing runs in it. What an exec left behind
  // on purpose (a daemon that a postStart hook started) goes on, and its
  // cgroup goes with the container: FailedPrecondition. Missing is success.
  absl::Status RemoveExec(const std::string& pod_path,
                          const std::string& container_id,
                          const std::string& exec_id);

  // Kills what is in the exec's cgroup, waits until it is empty and removes it
  // with everything below. Missing is success.
  absl::Status RemoveExecTree(const std::string& pod_path,
                              const std::string& container_id,
                              const std::string& exec_id);
  // Its cgroup.events, for IsPopulated (cgroup_dir.h). NotFound.
  absl::StatusOr<os::UniqueFd> ExecEvents(const std::string& pod_path,
                                          const std::string& container_id,
                                          const std::string& exec_id);

  // Whether something runs in the leaf, or below it. NotFound: no leaf.
  absl::StatusOr<bool> IsPopulated(const std::string& pod_path,
                                   const std::string& container_id) const;

  // The directory of a pod's cgroup, or of a leaf, for reading (usage.h).
  // NotFound: there is none (any more).
  absl::StatusOr<os::UniqueFd> Open(const std::string& pod_path) const;
  absl::StatusOr<os::UniqueFd> Open(const std::string& pod_path,
                                    const std::string& container_id) const;

  // memory.events' oom_kill of the leaf; 0 where there is no controller.
  absl::StatusOr<uint64_t> OomKills(const std::string& pod_path,
                                    const std::string& container_id) const;

 private:
  // The entry for a cgroup; null without a guard, or if the cgroup is gone.
  // The guard is to watch one that was made as soon as what is known of it is
  // in it, or claimed.
  std::shared_ptr<BookedCgroup> Enter(const std::string& path, bool* made);
  void Unbook(const std::string& path);
  // For a setting whose file is missing: refuses or counts.
  absl::Status OnMissing(const std::string& pod_path, const Setting& setting);
  absl::Status CountIgnored(const Setting& setting) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Apply(int leaf, const std::string& pod_path,
                     const std::string& path,
                     const std::vector<Setting>& settings, bool occupied,
                     const std::function<absl::Status()>& commit = nullptr);
  // All limits of a leaf: with what is set where resources say nothing.
  absl::StatusOr<std::vector<Setting>> LeafSettings(
      const state::Resources& resources, int leaf) const;
  absl::Status Establish(int leaf, const std::string& pod_path,
                         const std::string& path,
                         const state::Resources& resources, bool occupied);
  // ApplySettings; what came of it is noted in the book.
  absl::Status ApplyNoted(int dir, const std::string& path,
                          const std::vector<Setting>& settings,
                          WriteOptions options);
  // SetCpus, for a leaf that nobody else writes meanwhile.
  absl::StatusOr<CpuSet> WriteCpus(int dir, const std::string& pod_path,
                                   const std::string& path,
                                   const std::vector<Setting>& settings,
                                   const CpuSet& cpus);
  // The pod's cgroup promises as much memory as its leaves are promised.
  absl::Status PassProtection(const std::string& pod_path);
  // In its files only: systemd may set them back. Whether there is anything to
  // tell it.
  absl::StatusOr<bool> WriteProtection(const std::string& pod_path,
                                       const Protection& sum);

  const Hierarchy hierarchy_;
  const MissingControllers missing_;
  const ContainerCgroupsOptions options_;
  const std::unique_ptr<DeviceFilters> filters_;
  // What the pods' and the leaves' files shall hold, and who sees to it (null:
  // nobody, and then the book is empty).
  const std::unique_ptr<LimitBook> book_;
  std::unique_ptr<DriftGuard> guard_;
  const std::unique_ptr<Promises> promises_;

  absl::Mutex mutex_;
  // Files that were warned about: once each.
  std::set<std::string> ignored_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_CONTAINER_CGROUP_H_
