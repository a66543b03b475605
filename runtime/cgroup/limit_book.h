// What the limit files of pinion's cgroups shall hold: the one place that
// says it. Whoever writes limits holds a claim to these files meanwhile and
// notes what the kernel made of them; the drift guard compares under a claim,
// too, so the two never see each other's work half done. Claims are by file
// since a write may take long: memory.max reclaims and cpuset.mems migrates,
// and who moves a container to other CPUs does not wait for that.
//
// Thread-safe.

#ifndef PINION_RUNTIME_CGROUP_LIMIT_BOOK_H_
#define PINION_RUNTIME_CGROUP_LIMIT_BOOK_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/cpu_set.h"
#include "os/unique_fd.h"
#include "runtime/cgroup/drift.h"
#include "runtime/cgroup/limit_files.h"

namespace pinion::cgroup {

// One cgroup. Its descriptor is of this very directory: should another come
// to have the same path, it is not mistaken for this.
struct BookedCgroup {
  BookedCgroup(std::string the_path, os::UniqueFd the_dir)
      : path(std::move(the_path)), dir(std::move(the_dir)) {}

  const std::string path;  // below the v2 root
  const os::UniqueFd dir;

  // Held for moments only, never during a write.
  absl::Mutex mutex;
  // By file, as the kernel shows it.
  std::map<std::string, std::string> held ABSL_GUARDED_BY(mutex);
  // What memory.high is to hold the cgroup at, instead (memory_hold.h).
  std::optional<std::string> memory_hold ABSL_GUARDED_BY(mutex);
  // cpuset.cpus.effective when cpuset.cpus was noted; empty: not known.
  CpuSet cpus_in_force ABSL_GUARDED_BY(mutex);
  // What shall be in force but has not been compared yet: of a cgroup that was
  // there when the daemon started. A file in `held` counts more.
  std::vector<Setting> wanted ABSL_GUARDED_BY(mutex);
  // The files that pinion left alone have been noted as they were found.
  bool complete ABSL_GUARDED_BY(mutex) = false;
  // Of files that have drifted.
  std::map<std::string, FilePace> pace ABSL_GUARDED_BY(mutex);
  // Taken out of the book: whoever still has it repairs nothing any more.
  bool forgotten ABSL_GUARDED_BY(mutex) = false;
  // Files that somebody writes, or compares, right now.
  std::set<std::string> claimed ABSL_GUARDED_BY(mutex);
};
using BookedCgroupPtr = std::shared_ptr<BookedCgroup>;

// The right to write some files of a cgroup, and what changes with them, for
// the time of its life.
class FileClaim {
 public:
  // Waits while somebody else has one of them.
  static FileClaim Wait(BookedCgroupPtr cgroup,
                        const std::vector<std::string>& files);
  // Does not wait; false (operator bool) if somebody else has one of them.
  static FileClaim Try(BookedCgroupPtr cgroup,
                       const std::vector<std::string>& files);
  ~FileClaim();
  FileClaim(FileClaim&& other) noexcept = default;
  FileClaim& operator=(FileClaim&&) = delete;

  explicit operator bool() const { return cgroup_ != nullptr; }

 private:
  FileClaim(BookedCgroupPtr cgroup, std::set<std::string> files)
      : cgroup_(std::move(cgroup)), files_(std::move(files)) {}

  BookedCgroupPtr cgroup_;  // null: nothing is claimed
  std::set<std::string> files_;
};

// Under a claim to them: what files read after pinion wrote them, by file; and
// what the kernel changed with them is read again.
void Note(BookedCgroup& cgroup,
          const std::map<std::string, std::string>& written)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(cgroup.mutex);

class LimitBook {
 public:
  explicit LimitBook(std::string root) : root_(std::move(root)) {}

  // The entry of the cgroup at `path`; made if there is none, and `*made`
  // says so. NotFound: no such cgroup.
  absl::StatusOr<BookedCgroupPtr> Enter(const std::string& path, bool* made)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Null if there is none.
  BookedCgroupPtr Find(const std::string& path) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes out the cgroup and all below it.
  std::vector<BookedCgroupPtr> Forget(const std::string& path)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Takes out just this entry; false if it is not in the book any more.
  bool Forget(const BookedCgroupPtr& cgroup) ABSL_LOCKS_EXCLUDED(mutex_);

  // The cgroup and all below it; empty: every one.
  std::vector<BookedCgroupPtr> Below(const std::string& path) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  const std::string& root() const { return root_; }

 private:
  const std::string root_;
  mutable absl::Mutex mutex_;
  std::map<std::string, BookedCgroupPtr> cgroups_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_LIMIT_BOOK_H_
