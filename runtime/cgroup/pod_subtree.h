// What is the same below every pod's cgroup, whatever driver made it: the
// monitor's leaf, the controllers handed on, finding our pods again.
//
// Thread-safe; operations on one pod are serialised by the caller.

#ifndef PINION_RUNTIME_CGROUP_POD_SUBTREE_H_
#define PINION_RUNTIME_CGROUP_POD_SUBTREE_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/cgroup/pod_cgroup.h"

namespace pinion::cgroup {

// "pinion-<pod id>": the cgroupfs driver's directory; the scope's name
// without ".scope".
std::string PodUnitStem(const std::string& pod_id);

// The pod's id, if `name` is the cgroup of a pod of any driver.
std::optional<std::string> PodIdOfCgroup(std::string_view name);

// monitor/ with `monitor` in it (0: empty as yet), and every controller handed
// on to the leaves. The order matters: a cgroup that holds processes itself
// cannot hand controllers on (the kernel's "no internal processes" rule).
absl::Status SetUpPodSubtree(int pod_dir, pid_t monitor);

// Hands those controllers down from the root to `parent` that the hierarchy
// has and the pod's cgroup lacks. Does nothing on a hybrid host, whose v2 root
// is not ours. What the kernel refuses stays off.
absl::Status EnableAbove(const Hierarchy& hierarchy, int pod_dir,
                         const std::string& parent);

// Marks the pod's cgroup as this daemon's (extended attribute
// trusted.pinion.owner), so that several daemons on one host do not take each
// other's pods for leftovers. An empty owner marks nothing.
absl::Status MarkOwner(int pod_dir, const std::string& owner);

struct FoundPod {
  std::string id;
  std::string path;  // below the v2 root, leading '/'
};

// Every pod's cgroup in the hierarchy whose mark is `owner` (empty: all).
// What vanishes while it looks is left out.
absl::StatusOr<std::vector<FoundPod>> FindPods(const std::string& root,
                                               const std::string& owner);
absl::StatusOr<std::vector<std::string>> PodIds(const std::string& root,
                                                const std::string& owner);
// The path of one pod's cgroup, whoever's it is; empty if there is none.
absl::StatusOr<std::string> FindPod(const std::string& root,
                                    const std::string& pod_id);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_POD_SUBTREE_H_
