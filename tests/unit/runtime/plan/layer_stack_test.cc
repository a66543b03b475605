// Needs root: whiteouts are device nodes, opacity is a trusted attribute.

#include "runtime/plan/layer_stack.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>

#include "os/file.h"

namespace pinion::plan {
namespace {

class LayerStackTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "whiteouts need root";
    dir_ = "/tmp/pn-layers-" + std::to_string(getpid());
    for (const char* layer : {"/top", "/middle", "/bottom"}) {
      ASSERT_TRUE(os::MakeDirs(dir_ + layer + "/etc", 0755).ok());
    }
  }
  void TearDown() override {
    if (!dir_.empty()) {
      EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, dir_).ok());
    }
  }

  void Write(const std::string& path, const std::string& text) {
    std::ofstream(dir_ + path) << text;
  }
  void Whiteout(const std::string& path) {
    ASSERT_EQ(mknod((dir_ + path).c_str(), S_IFCHR, makedev(0, 0)), 0);
  }
  void Link(const std::string& target, const std::string& path) {
    ASSERT_EQ(symlink(target.c_str(), (dir_ + path).c_str()), 0);
  }
  absl::StatusOr<std::string> Read(const std::string& path,
                                   size_t limit = 1024) {
    return LayerStack::Open({dir_ + "/top", dir_ + "/middle", dir_ + "/bottom"})
        ->ReadFile(path, limit);
  }

  std::string dir_;
};

TEST_F(LayerStackTest, TopmostFileWins) {
  Write("/bottom/etc/passwd", "bottom");
  EXPECT_EQ(Read("/etc/passwd").value(), "bottom");
  Write("/middle/etc/passwd", "middle");
  EXPECT_EQ(Read("/etc/passwd").value(), "middle");
  EXPECT_EQ(Read("etc/./../etc/passwd").value(), "middle");
}

TEST_F(LayerStackTest, WhiteoutHidesFilesAndDirectories) {
  Write("/bottom/etc/passwd", "bottom");
  Whiteout("/middle/etc/passwd");
  EXPECT_TRUE(absl::IsNotFound(Read("/etc/passwd").status()));
  ASSERT_EQ(unlink((dir_ + "/middle/etc/passwd").c_str()), 0);
  ASSERT_EQ(rmdir((dir_ + "/top/etc").c_str()), 0);
  Whiteout("/top/etc");
  EXPECT_TRUE(absl::IsNotFound(Read("/etc/passwd").status()));
}

TEST_F(LayerStackTest, OpaqueDirectoryHidesWhatLiesBelow) {
  Write("/bottom/etc/passwd", "bottom");
  ASSERT_EQ(setxattr((dir_ + "/middle/etc").c_str(), "trusted.overlay.opaque",
                     "y", 1, 0),
            0);
  EXPECT_TRUE(absl::IsNotFound(Read("/etc/passwd").status()));
  Write("/middle/etc/passwd", "middle");
  EXPECT_EQ(Read("/etc/passwd").value(), "middle");
}

TEST_F(LayerStackTest, FileHidesADirectoryBelowAndTheOtherWayRound) {
  ASSERT_TRUE(os::MakeDirs(dir_ + "/bottom/x", 0755).ok());
  Write("/bottom/x/f", "deep");
  Write("/top/x", "file");
  EXPECT_EQ(Read("/x").value(), "file");
  EXPECT_TRUE(absl::IsNotFound(Read("/x/f").status()));
  Write("/bottom/y", "file");
  ASSERT_TRUE(os::MakeDirs(dir_ + "/top/y", 0755).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Read("/y").status()));
}

TEST_F(LayerStackTest, LinksStayInTheStack) {
  Write("/bottom/etc/real", "inside");
  Link("/etc/real", "/top/etc/absolute");
  Link("../../../../../etc/real", "/top/etc/up");
  Link("../etc", "/top/dir");
  EXPECT_EQ(Read("/etc/absolute").value(), "inside");
  EXPECT_EQ(Read("/etc/up").value(), "inside");
  EXPECT_EQ(Read("/dir/real").value(), "inside");
  // The host has this file, the image does not.
  Link("/proc/self/status", "/top/etc/passwd");
  EXPECT_TRUE(absl::IsNotFound(Read("/etc/passwd").status()));
}

TEST_F(LayerStackTest, LinkLoopEnds) {
  Link("b", "/top/a");
  Link("a", "/top/b");
  EXPECT_TRUE(absl::IsInvalidArgument(Read("/a").status()));
}

TEST_F(LayerStackTest, OnlyRegularFilesOfBoundedSizeAreRead) {
  ASSERT_EQ(mkfifo((dir_ + "/top/etc/passwd").c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(Read("/etc/passwd").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Read("/etc").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Read("/").status()));
  Write("/top/etc/group", std::string(1025, 'x'));
  EXPECT_TRUE(absl::IsResourceExhausted(Read("/etc/group").status()));
  EXPECT_EQ(Read("/etc/group", 1025)->size(), 1025u);
}

TEST_F(LayerStackTest, MissingLayerIsAnError) {
  EXPECT_FALSE(LayerStack::Open({dir_ + "/nope"}).ok());
}

}  // namespace
}  // namespace pinion::plan
