#include "daemon/process_setup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace pinion::daemon {
namespace {

TEST(ProcessSetupTest, ClosedStandardStreamsBecomeDevNull) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    close(0);
    close(1);
    close(2);
    OpenStandardStreams();
    const int next = open("/dev/null", O_RDONLY);
    const bool fine = fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 &&
                      fcntl(2, F_GETFD) >= 0 && next > 2 &&
                      write(1, "x", 1) < 0 && write(2, "x", 1) == 1;
    _exit(fine ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace pinion::daemon
