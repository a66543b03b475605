// A mount of a test's own on the node, made on a new directory or an old one,
// and taken off at the end.

#ifndef PINION_TESTS_INTEGRATION_DAEMON_SCRATCH_MOUNT_H_
#define PINION_TESTS_INTEGRATION_DAEMON_SCRATCH_MOUNT_H_

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <string>

namespace pinion::testing {

class ScratchMount {
 public:
  // `propagation`: MS_PRIVATE or MS_SHARED.
  ScratchMount(const std::string& path, unsigned long propagation,
               const char* type = "tmpfs")
      : path_(path) {
    std::filesystem::create_directories(path_);
    EXPECT_EQ(mount(type, path_.c_str(), type, 0, nullptr), 0);
    EXPECT_EQ(mount(nullptr, path_.c_str(), nullptr, propagation, nullptr), 0);
  }
  ~ScratchMount() { EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0); }
  ScratchMount(const ScratchMount&) = delete;
  ScratchMount& operator=(const ScratchMount&) = delete;

 private:
  const std::string path_;
};

}  // namespace pinion::testing

#endif  // PINION_TESTS_INTEGRATION_DAEMON_SCRATCH_MOUNT_H_
