// A file whose next opening for writing waits until the test lets go: a moment
// in the middle of somebody's work in which something else can happen. A read
// lease (fcntl(2), F_SETLEASE); the kernel breaks it by itself after
// /proc/sys/fs/lease-break-time, 45 s. Not on cgroupfs or procfs.

#ifndef PINION_TESTS_SUPPORT_HELD_FILE_H_
#define PINION_TESTS_SUPPORT_HELD_FILE_H_

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "tests/support/eventually.h"

namespace pinion::testing_support {

class HeldFile {
 public:
  explicit HeldFile(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    // By default SIGIO tells of the break, and ends the process.
    held_ = fcntl(fd_, F_SETSIG, SIGURG) == 0 &&
            fcntl(fd_, F_SETLEASE, F_RDLCK) == 0;
  }
  ~HeldFile() {
    LetGo();
    close(fd_);
  }

  HeldFile(const HeldFile&) = delete;
  HeldFile& operator=(const HeldFile&) = delete;

  bool held() const { return held_; }
  // Until somebody waits to write.
  bool AwaitWriter() const {
    return held_ &&
           Eventually([this] { return fcntl(fd_, F_GETLEASE) == F_UNLCK; });
  }
  void LetGo() { (void)fcntl(fd_, F_SETLEASE, F_UNLCK); }

 private:
  const int fd_;
  bool held_ = false;
};

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_HELD_FILE_H_
