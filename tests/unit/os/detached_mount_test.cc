#include "os/detached_mount.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "os/file.h"
#include "tests/support/scratch_dir.h"

namespace pinion::os {
namespace {

std::string Slurp(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class DetachedMountTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (getuid() != 0) GTEST_SKIP() << "needs root";
    if (!CanMountOverlay(scratch_.path())) GTEST_SKIP() << "needs Linux 6.5";
    for (const char* name : {"/lower", "/upper", "/work"}) {
      ASSERT_TRUE(MakeDirs(scratch_.path() + name, 0755).ok());
    }
  }

  Overlay Layers() {
    Overlay overlay;
    overlay.lowers = {scratch_.path() + "/lower"};
    overlay.upper = scratch_.path() + "/upper";
    overlay.work = scratch_.path() + "/work";
    return overlay;
  }

  pinion::testing::ScratchDir scratch_;
};

TEST_F(DetachedMountTest, AnOverlayIsUsableAndInNoMountTable) {
  std::ofstream(scratch_.path() + "/lower/file") << "below";
  const std::string before = Slurp("/proc/self/mountinfo");
  const auto mount = MountOverlay(Layers());
  ASSERT_TRUE(mount.ok()) << mount.status();
  EXPECT_EQ(Slurp("/proc/self/mountinfo"), before);
  EXPECT_EQ(ReadFileAt(mount->get(), "file").value(), "below");
  const auto made = OpenAt(mount->get(), "new", O_WRONLY | O_CREAT, 0644);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(access((scratch_.path() + "/upper/new").c_str(), F_OK), 0);
}

TEST_F(DetachedMountTest, AnOverlayOnWhatIsNotThereSaysWhat) {
  Overlay overlay = Layers();
  overlay.lowers = {scratch_.path() + "/nope"};
  const auto mount = MountOverlay(overlay);
  ASSERT_FALSE(mount.ok());
  EXPECT_NE(mount.status().message().find("/nope"), std::string::npos)
      << mount.status();
  EXPECT_NE(mount.status().message().find("ENOENT"), std::string::npos)
      << mount.status();
}

TEST_F(DetachedMountTest, WhetherItCanIsKnownBeforehand) {
  EXPECT_TRUE(CanMountOverlay(scratch_.path()));
  EXPECT_FALSE(CanMountOverlay(scratch_.path() + "/nope"));
}

TEST_F(DetachedMountTest, AnEmptyNamespaceShowsNothing) {
  const std::string before = Slurp("/proc/self/mountinfo");
  const auto space = EmptyMountNamespace();
  ASSERT_TRUE(space.ok()) << space.status();
  EXPECT_EQ(Slurp("/proc/self/mountinfo"), before);
  int entries = -1, error = 0, above = -1;
  std::thread([&] {
    if (unshare(CLONE_FS) != 0 || setns(space->get(), CLONE_NEWNS) != 0) return;
    DIR* root = opendir("/");
    if (root == nullptr) return;
    entries = 0;
    while (readdir(root) != nullptr) ++entries;
    closedir(root);
    error = mkdir("/made", 0755) == 0 ? 0 : errno;
    // Nor is there anything below it to climb down to.
    above = chdir("/..") == 0 && access("proc", F_OK) != 0 ? 0 : 1;
  }).join();
  EXPECT_EQ(entries, 2);  // "." and ".."
  EXPECT_EQ(error, EROFS);
  EXPECT_EQ(above, 0);
}

}  // namespace
}  // namespace pinion::os
