#include "daemon/notify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "os/unique_fd.h"
#include "tests/support/eventually.h"
#include "tests/support/wall_clock_step.h"

namespace pinion::daemon {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::milliseconds kInterval{20};
constexpr std::chrono::minutes kPatience{1};

class NotifyTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = absl::StrCat("/tmp/pn-notify-", getpid());
    socket_ = os::UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof(address)),
              0);
    setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  }
  void TearDown() override {
    unsetenv("NOTIFY_SOCKET");
    unlink(path_.c_str());
  }

  // Empty if none comes within `patience`.
  std::string Next(std::chrono::milliseconds patience) {
    pollfd ready = {socket_.get(), POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(patience.count())) != 1) return "";
    char buffer[1024] = {};
    EXPECT_GT(recv(socket_.get(), buffer, sizeof(buffer) - 1, 0), 0);
    return buffer;
  }

  std::string path_;
  os::UniqueFd socket_;
};

TEST_F(NotifyTest, TellsTheStates) {
  NotifyReady("fine");
  EXPECT_EQ(Next(kPatience), "READY=1\nSTATUS=fine");
  NotifyReloading();
  EXPECT_THAT(Next(kPatience), HasSubstr("RELOADING=1\nMONOTONIC_USEC="));
  NotifyStopping();
  EXPECT_EQ(Next(kPatience), "STOPPING=1");
}

TEST_F(NotifyTest, WatchdogIsFedWhileTheServerAnswers) {
  const Watchdog watchdog(kInterval, [] { return true; });
  EXPECT_EQ(Next(kPatience), "WATCHDOG=1");
  EXPECT_EQ(Next(kPatience), "WATCHDOG=1");
}

// systemd counts on the monotonic clock: a step back by an hour must not make
// the next sign of life an hour late.
TEST_F(NotifyTest, WatchdogIsFedWhenTheWallClockIsStepped) {
  // The deadline is made before the step, the waiting is done after it.
  testing_support::wall_clock_step_seconds = 3600;
  {
    const Watchdog watchdog(kInterval, [] { return true; });
    EXPECT_EQ(Next(kPatience), "WATCHDOG=1");
    EXPECT_EQ(Next(kPatience), "WATCHDOG=1");
  }
  testing_support::wall_clock_step_seconds = 0;
}

TEST_F(NotifyTest, WatchdogStarvesWhenTheServerDoesNotAnswer) {
  std::atomic<int> asked = 0;
  {
    const Watchdog watchdog(kInterval, [&asked] {
      ++asked;
      return false;
    });
    // What the first answer led to is done when it is asked again.
    EXPECT_TRUE(testing_support::Eventually([&asked] { return asked >= 2; }));
    EXPECT_EQ(Next(std::chrono::milliseconds(0)), "");
  }
}

TEST_F(NotifyTest, WatchdogEndsAtOnce) {
  // It pauses for half of its interval: longer than a slow machine takes.
  constexpr std::chrono::seconds kPause(90);
  const auto start = std::chrono::steady_clock::now();
  {
    const Watchdog watchdog(2 * kPause, [] { return true; });
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPause);
}

TEST(WatchdogIntervalTest, OfTheEnvironment) {
  EXPECT_EQ(WatchdogInterval().count(), 0);
  setenv("WATCHDOG_USEC", "30000000", 1);
  EXPECT_EQ(WatchdogInterval(), std::chrono::seconds(30));
  unsetenv("WATCHDOG_USEC");
}

}  // namespace
}  // namespace pinion::daemon
