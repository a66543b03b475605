// A directory below /tmp that goes with its test, whatever is in it.

#ifndef PINION_TESTS_SUPPORT_SCRATCH_DIR_H_
#define PINION_TESTS_SUPPORT_SCRATCH_DIR_H_

#include <fcntl.h>
#include <stdlib.h>

#include <string>

#include "os/file.h"

namespace pinion::testing {

class ScratchDir {
 public:
  ScratchDir() {
    char name[] = "/tmp/pn-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~ScratchDir() { (void)os::RemoveTreeAt(AT_FDCWD, path_); }

  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace pinion::testing

#endif  // PINION_TESTS_SUPPORT_SCRATCH_DIR_H_
