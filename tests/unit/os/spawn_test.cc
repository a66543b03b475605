#include "os/spawn.h"

#include <fcntl.h>
#include <signal.h>

#include "gtest/gtest.h"
#include "os/file.h"
#include "os/pipe.h"

namespace pinion::os {
namespace {

using std::chrono::steady_clock;

SteadyTime In(std::chrono::seconds time) { return steady_clock::now() + time; }

class AwaitEndTest : public testing::Test {
 protected:
  void SetUp() override {
    auto null = OpenAt(AT_FDCWD, "/dev/null", O_RDWR);
    ASSERT_TRUE(null.ok());
    null_ = *std::move(null);
  }

  SpawnedProcess Start(const std::string& script, int output = -1) {
    SpawnSpec spec;
    spec.path = "/bin/sh";
    spec.argv = {"sh", "-c", script};
    const int out = output < 0 ? null_.get() : output;
    spec.fds = {null_.get(), out, null_.get()};
    auto process = Spawn(spec);
    EXPECT_TRUE(process.ok()) << process.status();
    return process.ok() ? *std::move(process) : SpawnedProcess();
  }

  UniqueFd null_;
};

TEST_F(AwaitEndTest, GivesTheExitCodeOrTheSignal) {
  EXPECT_EQ(AwaitEnd(Start("exit 0"), In(std::chrono::seconds(60))).value(), 0);
  EXPECT_EQ(AwaitEnd(Start("exit 7"), In(std::chrono::seconds(60))).value(), 7);
  EXPECT_EQ(
      AwaitEnd(Start("kill -TERM $$"), In(std::chrono::seconds(60))).value(),
      128 + SIGTERM);
}

TEST_F(AwaitEndTest, KillsAndReapsWhatIsStillThere) {
  const SpawnedProcess process = Start("exec sleep 1000");
  EXPECT_EQ(AwaitEnd(process, steady_clock::now()).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(kill(process.pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(AwaitEndTest, AReadableDescriptorIsToldFromTheEnd) {
  auto pipe = MakePipe("test");
  ASSERT_TRUE(pipe.ok());
  const SpawnedProcess talks =
      Start("echo x; exec sleep 1000", pipe->writer.get());
  EXPECT_TRUE(
      AwaitReadable(pipe->reader.get(), talks, In(std::chrono::seconds(60))));
  char byte = 0;
  EXPECT_EQ(read(pipe->reader.get(), &byte, 1), 1);
  EXPECT_EQ(read(pipe->reader.get(), &byte, 1), 1);  // the end of the line
  EXPECT_FALSE(AwaitReadable(pipe->reader.get(), talks, steady_clock::now()));
  EXPECT_FALSE(AwaitEnd(talks, steady_clock::now()).ok());

  const SpawnedProcess silent = Start("exit 0");
  EXPECT_FALSE(
      AwaitReadable(pipe->reader.get(), silent, In(std::chrono::seconds(60))));
  EXPECT_EQ(AwaitEnd(silent, In(std::chrono::seconds(60))).value(), 0);
}

}  // namespace
}  // namespace pinion::os
