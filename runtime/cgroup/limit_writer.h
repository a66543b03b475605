// Brings the files of one cgroup to the wanted settings, all or nothing.
//
// Thread-safe; one cgroup belongs to one caller at a time.

#ifndef PINION_RUNTIME_CGROUP_LIMIT_WRITER_H_
#define PINION_RUNTIME_CGROUP_LIMIT_WRITER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/cgroup/limit_files.h"

namespace pinion::cgroup {

struct WriteOptions {
  // Called for a setting whose file is not there: OK skips it, an error ends
  // the whole application. Settings that hold without the file (a huge page
  // limit of 0 on a machine without such pages, a swap limit without swap)
  // are skipped before.
  std::function<absl::Status(const Setting&)> on_missing;
  // Processes run inside: before memory.max is lowered below what is in use,
  // memory is reclaimed, and if that is not enough the change is refused,
  // since an undo would not bring back what the OOM killer took. (An undo for
  // which there is no room is left out, too, and logged.)
  bool occupied = false;
  // Told what each file reads, as the kernel shows it, once its value is in
  // force; if the application fails later, it does not count. May be empty.
  std::function<void(const std::string& file, const std::string& text)> noted =
      nullptr;
  // Told what a file reads after it was undone, where that is not what it read
  // before. May be empty.
  std::function<void(const std::string& file, const std::string& text)> undone =
      nullptr;
  // Called when everything is in force; an error of it undoes everything. May
  // be empty.
  std::function<absl::Status()> commit = nullptr;
};

// Writes what differs, in order, and reads each value back. A cpuset of which
// the parent cannot give every CPU or node is refused (FailedPrecondition,
// with the parent's effective set). On a failure everything written before is
// undone in reverse order. `name` is the cgroup's path for messages.
absl::Status ApplySettings(int dir, const std::string& name,
                           const std::vector<Setting>& settings,
                           const WriteOptions& options);

// Before memory.max, which reads `now`, is lowered to `limit`: the OOM killer
// is not to do it. FailedPrecondition: more is in use, also after what can be
// taken was (if `reclaim`; take_back.h says for how long).
absl::Status MakeRoom(int dir, const std::string& limit, const std::string& now,
                      bool reclaim);

// Brings a file that reads `actual` back to what it read before. The kernel
// does not let a cpuset that is in use be unset again (ENOSPC): it then gets
// all that the cgroup above has. What the file reads afterwards.
absl::StatusOr<std::string> RestoreLimit(int dir, const std::string& file,
                                         const std::string& before,
                                         const std::string& actual);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_LIMIT_WRITER_H_
