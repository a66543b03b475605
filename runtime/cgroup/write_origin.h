// Where a write that was noticed went, and from whom it came.
//
// A container with its own cgroup namespace names its files as if it were
// alone ("/memory.max"), so that the path does not tell whose they are; the
// inode does. Inodes are remembered: such a container may write without end.
//
// For one thread.

#ifndef PINION_RUNTIME_CGROUP_WRITE_ORIGIN_H_
#define PINION_RUNTIME_CGROUP_WRITE_ORIGIN_H_

#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "os/write_watch.h"
#include "runtime/cgroup/limit_book.h"

namespace pinion::cgroup {

// Who wrote, as far as it is known.
struct Writer {
  std::string process;  // "systemd (1)"; empty: nobody known
  std::string cgroup;   // where it ran
};
// By the file that was written.
using Writers = std::map<std::string, Writer>;

// To be called at once: a shell that wrote a file is gone in a moment.
Writer Describe(pid_t pid);

// Of the pod's cgroup: who takes a controller away takes all its values.
inline constexpr char kControl[] = "cgroup.subtree_control";

// Who changed `file`: who wrote it, or what it changes with, or kControl.
Writer WriterOf(const Writers& writers, const std::string& file);

class WriteOrigin {
 public:
  // All booked cgroups are looked at for one file at most so often.
  static constexpr std::chrono::seconds kSearchEvery{1};

  explicit WriteOrigin(const LimitBook& book,
                       std::chrono::seconds search_every = kSearchEvery)
      : book_(book), search_every_(search_every) {}

  struct Place {
    BookedCgroupPtr cgroup;  // null: not found
    std::string file;
    // It may be of a booked cgroup all the same, and was not searched for.
    bool missed = false;
  };
  Place Find(const os::FileWrite& write);

 private:
  BookedCgroupPtr Search(const std::string& file, ino_t inode, bool* missed);

  const LimitBook& book_;
  const std::chrono::seconds search_every_;
  // Of files that were searched for.
  std::unordered_map<ino_t, std::weak_ptr<BookedCgroup>> known_;
  std::optional<std::chrono::steady_clock::time_point> searched_;
};

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_WRITE_ORIGIN_H_
