#include "daemon/state_lock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "os/file.h"

namespace pinion::daemon {
namespace {

using ::testing::HasSubstr;

class StateLockTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pn-daemon-lock-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    scratch_ = name;
  }
  void TearDown() override {
    EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, scratch_).ok());
  }

  std::string scratch_;
};

TEST_F(StateLockTest, SecondHolderIsToldTheFirstsPid) {
  const auto first = StateLock::Acquire(scratch_);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = StateLock::Acquire(scratch_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(),
              HasSubstr(absl::StrCat("another piniond (pid ", getpid(),
                                     ") uses ", scratch_)));
}

TEST_F(StateLockTest, FreeAgainAfterTheHolder) {
  {
    const auto first = StateLock::Acquire(scratch_);
    ASSERT_TRUE(first.ok()) << first.status();
  }
  EXPECT_TRUE(StateLock::Acquire(scratch_).ok());
}

TEST_F(StateLockTest, ADirectoryOfOthersIsLeftAsItIs) {
  ASSERT_EQ(mkdir((scratch_ + "/lost+found").c_str(), 0700), 0);
  ASSERT_EQ(mkdir((scratch_ + "/containers").c_str(), 0755), 0);
  ASSERT_EQ(chmod(scratch_.c_str(), 0755), 0);
  const auto refused = StateLock::Acquire(scratch_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.status().message(), HasSubstr("not pinion's"));
  struct stat st = {};
  ASSERT_EQ(stat(scratch_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755U);
  EXPECT_NE(access((scratch_ + "/lock").c_str(), F_OK), 0);
  ASSERT_EQ(rmdir((scratch_ + "/containers").c_str()), 0);
  EXPECT_TRUE(StateLock::Acquire(scratch_).ok());
}

TEST_F(StateLockTest, MakesTheDirectoryPrivate) {
  const std::string directory = scratch_ + "/a/b";
  ASSERT_TRUE(StateLock::Acquire(directory).ok());
  struct stat st = {};
  ASSERT_EQ(stat(directory.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700U);
}

TEST_F(StateLockTest, TightensAnExistingDirectory) {
  ASSERT_EQ(chmod(scratch_.c_str(), 0755), 0);
  ASSERT_TRUE(StateLock::Acquire(scratch_).ok());
  struct stat st = {};
  ASSERT_EQ(stat(scratch_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700U);
}

TEST_F(StateLockTest, DoesNotFollowALinkInThePlaceOfTheLock) {
  const std::string target = scratch_ + "/target";
  ASSERT_EQ(symlink(target.c_str(), (scratch_ + "/lock").c_str()), 0);
  EXPECT_FALSE(StateLock::Acquire(scratch_).ok());
  EXPECT_NE(access(target.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace pinion::daemon
