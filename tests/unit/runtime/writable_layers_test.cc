#include "runtime/writable_layers.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <string>

#include "os/file.h"
#include "tests/support/scratch_dir.h"

namespace pinion::runtime {
namespace {

class WritableLayersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ =
        os::OpenAt(AT_FDCWD, scratch_.path(), O_RDONLY | O_DIRECTORY).value();
    ASSERT_TRUE(os::MakeDirAt(root_.get(), "containers", 0700).ok());
    containers_ =
        os::OpenAt(root_.get(), "containers", O_RDONLY | O_DIRECTORY).value();
    wanted_.st_uid = getuid();
    wanted_.st_gid = getgid();
    wanted_.st_mode = 0755;
  }

  std::unique_ptr<WritableLayers> New() {
    return WritableLayers::Create(root_.get(), containers_.get()).value();
  }
  size_t Spares() { return os::ListDirAt(root_.get(), "spare")->size(); }
  struct stat Stat(const std::string& path) {
    struct stat st = {};
    EXPECT_EQ(fstatat(containers_.get(), path.c_str(), &st, 0), 0) << path;
    return st;
  }

  pinion::testing::ScratchDir scratch_;
  os::UniqueFd root_;
  os::UniqueFd containers_;
  struct stat wanted_ = {};
};

TEST_F(WritableLayersTest, MoreThanAreReadyAreMadeEachByItself) {
  const auto layers = New();
  const size_t ready = Spares();
  ASSERT_GT(ready, 0U);
  std::set<ino_t> inodes;
  for (size_t i = 0; i < ready + 2; ++i) {
    const std::string id = "c" + std::to_string(i);
    ASSERT_TRUE(layers->Make(id, wanted_).ok());
    EXPECT_EQ(Stat(id).st_mode & 07777, 0700U);
    EXPECT_EQ(Stat(id + "/upper").st_mode & 07777, 0755U);
    EXPECT_EQ(Stat(id + "/work").st_mode & 07777, 0700U);
    inodes.insert(Stat(id + "/upper").st_ino);
  }
  EXPECT_EQ(inodes.size(), ready + 2);
  EXPECT_EQ(Spares(), 0U);
  layers->Refill();
  EXPECT_EQ(Spares(), ready);
}

TEST_F(WritableLayersTest, TheUpperDirectoryGetsTheModeAskedFor) {
  const auto layers = New();
  wanted_.st_mode = 01777;
  while (Spares() > 0) {
    ASSERT_TRUE(layers->Make("ready" + std::to_string(Spares()), wanted_).ok());
  }
  ASSERT_TRUE(layers->Make("fresh", wanted_).ok());
  EXPECT_EQ(Stat("ready1/upper").st_mode & 07777, 01777U);
  EXPECT_EQ(Stat("fresh/upper").st_mode & 07777, 01777U);
}

TEST_F(WritableLayersTest, TheUpperDirectoryGetsTheOwnerAskedFor) {
  if (getuid() != 0) GTEST_SKIP() << "needs root";
  const auto layers = New();
  wanted_.st_uid = 1000;
  wanted_.st_gid = 1001;
  ASSERT_TRUE(layers->Make("owned", wanted_).ok());
  EXPECT_EQ(Stat("owned/upper").st_uid, 1000U);
  EXPECT_EQ(Stat("owned/upper").st_gid, 1001U);
  EXPECT_EQ(Stat("owned/work").st_uid, 0U);
}

TEST_F(WritableLayersTest, SparesEndWithTheDaemonAndWithTheNextOne) {
  New().reset();
  EXPECT_EQ(Spares(), 0U);
  // As after a crash.
  ASSERT_TRUE(os::MakeDirAt(root_.get(), "spare/1", 0700).ok());
  ASSERT_TRUE(os::MakeDirAt(root_.get(), "spare/1/left", 0700).ok());
  const auto layers = New();
  ASSERT_TRUE(layers->Make("c", wanted_).ok());
  const auto names = os::ListDirAt(root_.get(), "spare");
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    EXPECT_NE(
        faccessat(root_.get(), ("spare/" + name + "/left").c_str(), F_OK, 0),
        0);
  }
}

// containers/ on a file system of its own.
TEST_F(WritableLayersTest, WhatCannotBeRenamedIsMadeAnew) {
  char path[] = "/dev/shm/pn-layers-XXXXXX";
  ASSERT_NE(mkdtemp(path), nullptr);
  containers_ = os::OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY).value();
  struct stat here = {};
  struct stat there = {};
  ASSERT_EQ(fstat(root_.get(), &here), 0);
  ASSERT_EQ(fstat(containers_.get(), &there), 0);
  ASSERT_NE(here.st_dev, there.st_dev) << "/dev/shm is no tmpfs";
  {
    const auto layers = New();
    const size_t ready = Spares();
    EXPECT_TRUE(layers->Make("c1", wanted_).ok());
    EXPECT_EQ(Stat("c1/upper").st_mode & 07777, 0755U);
    EXPECT_EQ(Spares(), ready - 1);
  }
  EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, path).ok());
}

}  // namespace
}  // namespace pinion::runtime
