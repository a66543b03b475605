// memory.min and memory.low of a cgroup: memory that is not taken from it.
//
// Thread-safe.

#ifndef PINION_RUNTIME_CGROUP_PROTECTION_H_
#define PINION_RUNTIME_CGROUP_PROTECTION_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "runtime/cgroup/limit_files.h"

namespace pinion::cgroup {

struct Protection {
  // Bytes; UINT64_MAX is "max".
  uint64_t min = 0;
  uint64_t low = 0;

  // "max" stays "max".
  void Add(const Protection& other);
  std::vector<Setting> ToSettings() const;
  bool operator==(const Protection&) const = default;
};

// What a cgroup's files say; nothing where there is no memory controller.
Protection ProtectionOf(int dir);

// What running containers were promised: what was asked for, which their files
// may not say any more. A container with a writable cgroup file system writes
// to them, and those of one that ended stay until it is removed.
class Promises {
 public:
  // Of the leaf at `path`; what `settings` do not name stays as it is. What was
  // promised before.
  Protection Ask(const std::string& path, const std::vector<Setting>& settings)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Set(const std::string& path, const Protection& protection)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // The cgroup and all below it have ended; whether one was promised something.
  // The pod of a leaf that was is owed a new sum.
  bool End(const std::string& path) ABSL_LOCKS_EXCLUDED(mutex_);
  bool IsOwed(const std::string& pod_path) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Before the sum is taken, so that what ends while it is written is owed
  // again; whether it was owed.
  bool Settle(const std::string& pod_path) ABSL_LOCKS_EXCLUDED(mutex_);
  // It could not be written.
  void Owe(const std::string& pod_path) ABSL_LOCKS_EXCLUDED(mutex_);

  // Of all leaves of a pod.
  Protection SumBelow(const std::string& pod_path) const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  // By path; those that are promised something.
  std::map<std::string, Protection> leaves_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> owed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_PROTECTION_H_
