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
struct Setting;

struct ContainerCgroupsOptions {
  // memory.oom.group=1 for every leaf whose resources say nothing of it. Off:
  // the kubelet asks for it itself in `unified`, unless its
  // singleProcessOOMKill forbids it.
  bool oom_group = false;
  // For pinion_cgroup_ignored_limits_total{file}; may be null. Outlives the
  // object.
  metrics::Registry* metrics = nullptr;
};

class ContainerCgroups {
 public:
  ContainerCgroups(Hierarchy hierarchy, MissingControllers missing,
                   ContainerCgroupsOptions options = {});
  ~ContainerCgroups();

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
  absl::Status Update(const std::string& pod_path,
                      const std::string& container_id,
                      const state::Resources& resources,
                      const std::function<absl::Status()>& commit = nullptr);

  // Just cpuset.cpus of the leaf (or kMonitorLeaf), and cpuset.mems unless
  // `mems` is empty. What the kernel made of it: cpuset.cpus.effective. Without
  // the controller: FailedPrecondition, or, where that is ignored, `cpus`.
  // NotFound: no leaf.
  absl::StatusOr<CpuSet> SetCpus(const std::string& pod_path,
                                 const std::string& leaf, const CpuSet& cpus,
                                 const CpuSet& mems);

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
  // For a setting whose file is missing: refuses or counts.
  absl::Status OnMissing(const std::string& pod_path, const Setting& setting);
  absl::Status CountIgnored(const Setting& setting) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Apply(int leaf, const std::string& pod_path,
                     const std::string& path,
                     const std::vector<Setting>& settings, bool occupied,
                     const std::function<absl::Status()>& commit = nullptr);

  const Hierarchy hierarchy_;
  const MissingControllers missing_;
  const ContainerCgroupsOptions options_;
  const std::unique_ptr<DeviceFilters> filters_;

  absl::Mutex mutex_;
  // Files that were warned about: once each.
  std::set<std::string> ignored_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_CONTAINER_CGROUP_H_
