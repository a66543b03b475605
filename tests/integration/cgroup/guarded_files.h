// Directories of plain files that stand for cgroups with controllers: this
// machine's v2 hierarchy has none. A plain file keeps what was behind a shorter
// text, so values here are of one length.

#ifndef PINION_TESTS_INTEGRATION_CGROUP_GUARDED_FILES_H_
#define PINION_TESTS_INTEGRATION_CGROUP_GUARDED_FILES_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "metrics/metrics.h"
#include "os/file.h"
#include "os/unique_fd.h"
#include "tests/support/eventually.h"
#include "tests/support/scratch_dir.h"

namespace pinion::cgroup {

inline constexpr char kLow[] = "33554432";
inline constexpr char kHigh[] = "67108864";
// What memory.high is to hold at kLow.
inline constexpr char kHold[] = "32505856";

class GuardedFiles : public ::testing::Test {
 protected:
  GuardedFiles() {
    MakeGroup("/slice");
    MakeGroup(pod_);
    MakeGroup(leaf_);
  }

  void MakeGroup(const std::string& path) {
    std::filesystem::create_directories(dir_.path() + path);
    Write(path, "cgroup.procs", "");
    Write(path, "cgroup.subtree_control", "");
  }
  // At once, as the kernel does it: the guard shall see no half of it. A text
  // of another length comes with another inode: an inotify watch on the file
  // never sees it.
  void Write(const std::string& path, const std::string& file,
             const std::string& text) {
    const std::string name = dir_.path() + path + "/" + file;
    const std::string line = text + "\n";
    std::error_code missing;
    // Into the same inode, where somebody may watch it.
    if (std::filesystem::file_size(name, missing) == line.size() && !missing) {
      const os::UniqueFd fd(open(name.c_str(), O_WRONLY | O_CLOEXEC));
      EXPECT_EQ(pwrite(fd.get(), line.data(), line.size(), 0),
                static_cast<ssize_t>(line.size()));
      return;
    }
    std::ofstream(dir_.path() + "/made") << line;
    std::filesystem::rename(dir_.path() + "/made", name);
  }
  std::string Read(const std::string& path, const std::string& file) {
    return *os::ReadFileAt(AT_FDCWD, dir_.path() + path + "/" + file);
  }
  bool Reads(const std::string& path, const std::string& file,
             const std::string& text) {
    return testing_support::Eventually(
        [&] { return Read(path, file) == text + "\n"; });
  }
  bool Counts(const std::string& metric, const std::string& file, int count) {
    const std::string line =
        absl::StrCat("pinion_cgroup_drift_", metric, "_total{file=\"", file,
                     "\"} ", count, "\n");
    return testing_support::Eventually(
        [&] { return absl::StrContains(metrics_->Render(), line); });
  }

  const testing::ScratchDir dir_;
  const std::string id_ = NewId();
  const std::string pod_ = "/slice/pod";
  const std::string leaf_ = pod_ + "/" + id_;
  std::unique_ptr<metrics::Registry> metrics_ = metrics::Registry::Create();
};

}  // namespace pinion::cgroup

#endif  // PINION_TESTS_INTEGRATION_CGROUP_GUARDED_FILES_H_
