#include "os/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace pinion::os {
namespace {

TEST(ProcessTest, KillsOnlyTheSameProcess) {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const auto ticks = ProcessStartTicks(child);
  ASSERT_TRUE(ticks.ok()) << ticks.status();
  EXPECT_TRUE(KillIfSame(child, *ticks + 1, SIGKILL).ok());
  EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0) << "it must still live";
  EXPECT_TRUE(KillIfSame(child, *ticks, SIGKILL).ok());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(KillIfSame(child, *ticks, SIGKILL).ok()) << "gone is success";
  EXPECT_TRUE(absl::IsNotFound(ProcessStartTicks(child).status()));
}

}  // namespace
}  // namespace pinion::os
