// Tells that, and by which process, files right in some directories are
// written: fanotify(7), FAN_MODIFY. Writes of this process are left out. Works
// on cgroupfs (tried on Linux 6.1 and 6.18): every write(2) is told, whatever
// mount or cgroup namespace it comes through.
//
// Add and Remove are thread-safe; Read is for one thread.

#ifndef PINION_OS_WRITE_WATCH_H_
#define PINION_OS_WRITE_WATCH_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::os {

struct FileWrite {
  // As this process would name it; only the last component counts if the
  // writer's mount cannot be reached from here.
  std::string path;
  ino_t inode = 0;
  pid_t pid = 0;  // 0: of another PID namespace
};

class WriteWatch {
 public:
  struct Batch {
    std::vector<FileWrite> writes;
    // More happened than the kernel could tell: its queue ran over, or it could
    // not open a file for us (it is gone; there are no descriptors left).
    bool lost = false;
  };

  // The kernel may lack it (ENOSYS) or refuse it (needs CAP_SYS_ADMIN).
  static absl::StatusOr<std::unique_ptr<WriteWatch>> Create();

  // For poll(2): readable when there is something to Read.
  int fd() const { return fanotify_.get(); }

  // `directory` is open for reading. The mark keeps its inode alive until
  // Remove, which works after the directory was removed, too.
  absl::Status Add(int directory);
  void Remove(int directory);

  // What is there now, at most 170 writes; does not wait.
  Batch Read();

 private:
  explicit WriteWatch(UniqueFd fanotify) : fanotify_(std::move(fanotify)) {}

  const UniqueFd fanotify_;
};

}  // namespace pinion::os

#endif  // PINION_OS_WRITE_WATCH_H_
