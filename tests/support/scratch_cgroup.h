// A cgroup of the test's own right below the v2 root, removed with the object
// together with everything in it.

#ifndef PINION_TESTS_SUPPORT_SCRATCH_CGROUP_H_
#define PINION_TESTS_SUPPORT_SCRATCH_CGROUP_H_

#include <string>
#include <vector>

#include "os/unique_fd.h"

namespace pinion::testing_support {

class ScratchCgroup {
 public:
  ScratchCgroup();
  ~ScratchCgroup();
  ScratchCgroup(const ScratchCgroup&) = delete;
  ScratchCgroup& operator=(const ScratchCgroup&) = delete;

  // The v2 mount point: /sys/fs/cgroup, or …/unified on a hybrid host.
  const std::string& root() const { return root_; }
  // "/pn-test-…", below root().
  const std::string& path() const { return path_; }
  std::string full() const { return root_ + path_; }

  // Helpers on paths below root().
  bool Exists(const std::string& path) const;
  std::string Read(const std::string& path) const;  // stripped; "" if missing
  void Write(const std::string& path, const std::string& value) const;
  os::UniqueFd Open(const std::string& path) const;
  void MakeDir(const std::string& path) const;
  // Processes directly in it.
  std::vector<pid_t> Pids(const std::string& path) const;

 private:
  std::string root_;
  std::string path_;
};

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_SCRATCH_CGROUP_H_
