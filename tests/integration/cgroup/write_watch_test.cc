// fanotify on the machine's own cgroup file system. Needs root.

#include "os/write_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/file.h"
#include "tests/support/child.h"
#include "tests/support/eventually.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::os {
namespace {

using testing_support::Child;
using testing_support::ScratchCgroup;

class WriteWatchTest : public testing::Test {
 protected:
  WriteWatchTest() { EXPECT_TRUE(watch_->Add(dir_.get()).ok()); }

  // By another process.
  pid_t Write(const std::string& file, const std::string& text) const {
    Child writer([path = scratch_.full() + "/" + file, text] {
      return WriteKernelFile(AT_FDCWD, path, text).ok() ? 0 : 1;
    });
    const pid_t pid = writer.pid();
    EXPECT_EQ(writer.Wait(), 0);
    return pid;
  }

  const ScratchCgroup scratch_;
  const UniqueFd dir_ = scratch_.Open(scratch_.path());
  const std::unique_ptr<WriteWatch> watch_ = *WriteWatch::Create();
};

TEST_F(WriteWatchTest, TellsWhatWasWrittenAndByWhom) {
  EXPECT_FALSE(watch_->Read().lost) << "nothing yet";
  const pid_t pid = Write("cgroup.max.depth", "7");
  const auto batch = watch_->Read();
  EXPECT_FALSE(batch.lost);
  ASSERT_EQ(batch.writes.size(), 1U);
  EXPECT_EQ(batch.writes[0].pid, pid);
  EXPECT_EQ(batch.writes[0].path, scratch_.full() + "/cgroup.max.depth");
}

// Reads while `more` descriptors can be opened.
class Descriptors {
 public:
  explicit Descriptors(rlim_t more) {
    const int next = dup(0);
    close(next);
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit few = before_;
    few.rlim_cur = static_cast<rlim_t>(next) + more;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  }
  ~Descriptors() { EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_ = {};
};

TEST_F(WriteWatchTest, WhatCannotBeOpenedIsLost) {
  Write("cgroup.max.depth", "7");
  const Descriptors none(0);
  const auto batch = watch_->Read();
  EXPECT_TRUE(batch.lost);
  EXPECT_TRUE(batch.writes.empty());
  EXPECT_FALSE(watch_->Read().lost) << "only once";
}

TEST_F(WriteWatchTest, WhatCannotBeOpenedEndsABatchAndIsLost) {
  Write("cgroup.max.depth", "7");
  Write("cgroup.max.descendants", "7");
  const Descriptors one(1);
  const auto batch = watch_->Read();
  EXPECT_EQ(batch.writes.size(), 1U);
  EXPECT_TRUE(batch.lost);
}

// Unlike sysfs, cgroupfs lets root open it.
TEST_F(WriteWatchTest, AFileThatNobodyReadsIsToldLikeAnyOther) {
  Write("cgroup.kill", "1");
  const auto batch = watch_->Read();
  EXPECT_FALSE(batch.lost);
  ASSERT_EQ(batch.writes.size(), 1U);
  EXPECT_EQ(batch.writes[0].path, scratch_.full() + "/cgroup.kill");
}

}  // namespace
}  // namespace pinion::os
