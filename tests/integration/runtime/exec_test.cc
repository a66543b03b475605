// Exec with streams, against real containers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/runtime/runtime_bed.h"
#include "tests/support/eventually.h"

namespace pinion::runtime {
namespace {

using ::testing::HasSubstr;

constexpr StreamOptions kAll = {true, true, true, false};
constexpr StreamOptions kTerminal = {true, true, false, true};

class ExecTest : public ::testing::Test {
 protected:
  void SetUp() override {
    bed_ = std::make_unique<RuntimeBed>();
    pod_ = bed_->RunPod("exec");
    container_ = bed_->Run(pod_, "exec sleep 100000");
  }

  std::unique_ptr<ProcessStreams> Open(const std::string& script,
                                       const StreamOptions& options) {
    auto streams =
        bed_->runtime().OpenExec(container_, {"sh", "-c", script}, options);
    EXPECT_TRUE(streams.ok()) << streams.status();
    return streams.ok() ? *std::move(streams) : nullptr;
  }

  // How many processes of the container's run `argument`.
  int Count(const std::string& argument) {
    // Not the one that asks: its own line has no such word.
    return std::stoi(bed_->Shell(
        container_,
        absl::StrCat("ps -o args | grep -c '[s]leep ", argument, "$'; true")));
  }

  bool NoExecIsLeft() {
    return Eventually([this] { return bed_->ExecCgroups(container_).empty(); });
  }

  std::unique_ptr<RuntimeBed> bed_;
  std::string pod_;
  std::string container_;
};

TEST_F(ExecTest, StreamsAreSeparateAndTheCodeComesBack) {
  const auto streams = Open("cat; echo to-err >&2; exit 7", kAll);
  ASSERT_NE(streams, nullptr);
  EXPECT_FALSE(streams->Outcome().has_value());
  ASSERT_TRUE(WriteAll(streams->input(), "to-out\n"));
  streams->CloseInput();
  EXPECT_EQ(streams->input(), -1);
  std::string out;
  std::string err;
  EXPECT_TRUE(ReadToEnd(streams->output(), &out));
  EXPECT_TRUE(ReadToEnd(streams->error(), &err));
  EXPECT_EQ(out, "to-out\n");
  EXPECT_EQ(err, "to-err\n");
  const auto code = AwaitEnd(*streams);
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 7);
  EXPECT_EQ(streams->Resize(80, 24).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ExecTest, MegabytesPassBothWays) {
  const auto streams = Open("cat", {true, true, false, false});
  ASSERT_NE(streams, nullptr);
  EXPECT_EQ(streams->error(), -1);
  std::string sent(5'000'000, 'x');
  for (size_t i = 0; i < sent.size(); i += 61) sent[i] = '\n';
  std::thread writer([&] {
    EXPECT_TRUE(WriteAll(streams->input(), sent));
    streams->CloseInput();
  });
  std::string received;
  EXPECT_TRUE(ReadToEnd(streams->output(), &received));
  writer.join();
  EXPECT_TRUE(received == sent) << received.size();
  EXPECT_EQ(AwaitEnd(*streams).value_or(-1), 0);
}

TEST_F(ExecTest, StreamsNobodyAskedForAreNull) {
  const auto streams =
      Open("readlink /proc/self/fd/0; readlink /proc/self/fd/2",
           {false, true, false, false});
  ASSERT_NE(streams, nullptr);
  EXPECT_EQ(streams->input(), -1);
  std::string out;
  EXPECT_TRUE(ReadToEnd(streams->output(), &out));
  EXPECT_EQ(out, "/dev/null\n/dev/null\n");
}

TEST_F(ExecTest, WrongRequestsAreRefused) {
  Runtime& runtime = bed_->runtime();
  const auto code = [&](const std::vector<std::string>& command,
                        const StreamOptions& options) {
    return runtime.OpenExec(container_, command, options).status().code();
  };
  EXPECT_EQ(code({}, kAll), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({"true"}, {}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({"true"}, {true, true, true, true}),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(runtime.OpenExec("nope", {"true"}, kAll).status().code(),
            absl::StatusCode::kNotFound);
  for (const StreamOptions& options : {kAll, kTerminal}) {
    const auto missing = runtime.OpenExec(container_, {"/nope"}, options);
    EXPECT_EQ(missing.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(missing.status().message()), HasSubstr("ENOENT"));
  }
  ASSERT_TRUE(runtime.StopContainer(container_, std::chrono::seconds(0)).ok());
  EXPECT_EQ(code({"true"}, kAll), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ExecTest, ATerminalIsOneAndKnowsItsSize) {
  const auto streams = Open(
      "tty; echo $TERM; trap 'stty size' WINCH; echo ready; "
      "until read x; do :; done; echo got $x; exit 3",
      kTerminal);
  ASSERT_NE(streams, nullptr);
  EXPECT_EQ(streams->error(), -1);
  EXPECT_NE(streams->input(), streams->output());
  std::string out;
  ASSERT_TRUE(ReadUntil(streams->output(), "ready", &out)) << out;
  EXPECT_THAT(out, HasSubstr("/dev/pts/"));
  EXPECT_THAT(out, HasSubstr("xterm"));
  // Again and again: a shell that is told just before it reads sleeps on.
  ASSERT_TRUE(Eventually([&] {
    return streams->Resize(80, 24).ok() && streams->Resize(132, 43).ok() &&
           ReadUntil(streams->output(), "43 132", &out, 1000);
  })) << out;
  ASSERT_TRUE(WriteAll(streams->input(), "hello\n"));
  EXPECT_TRUE(ReadToEnd(streams->output(), &out));
  EXPECT_THAT(out, HasSubstr("got hello"));
  EXPECT_EQ(AwaitEnd(*streams).value_or(-1), 3);
}

TEST_F(ExecTest, ATerminalsHalfCloseIsAnEndOfFile) {
  const auto streams = Open("cat; echo after; cat", kTerminal);
  ASSERT_NE(streams, nullptr);
  ASSERT_TRUE(WriteAll(streams->input(), "an unfinished line"));
  std::string out;
  // The echo: the terminal has it all.
  ASSERT_TRUE(ReadUntil(streams->output(), "line", &out));
  streams->CloseInput();
  EXPECT_EQ(streams->input(), -1);
  ASSERT_TRUE(ReadUntil(streams->output(), "after", &out)) << out;
}

TEST_F(ExecTest, AClientThatVanishesEndsTheWholeTree) {
  for (const StreamOptions& options : {kAll, kTerminal}) {
    const auto vanish = [&](const std::string&) {
      auto streams = Open(
          "trap '' TERM HUP INT PIPE; sleep 4711 & setsid sleep 4711 & "
          "echo up; cat; sleep 4711",
          options);
      ASSERT_NE(streams, nullptr);
      std::string out;
      ASSERT_TRUE(ReadUntil(streams->output(), "up", &out));
      // Nobody tells of the tree's end meanwhile: it is not waited for.
      const pid_t monitor = bed_->MonitorOf(pod_);
      ASSERT_EQ(kill(monitor, SIGSTOP), 0);
      streams.reset();
      EXPECT_EQ(kill(monitor, SIGCONT), 0);
    };
    // The shortest of its waits (exec_sync.cc, kKillDeadline).
    EXPECT_TRUE(testing_support::DoesNotWait(std::chrono::seconds(5), vanish));
    EXPECT_TRUE(NoExecIsLeft());
    EXPECT_EQ(Count("4711"), 0);
  }
}

TEST_F(ExecTest, AGrandchildThatHoldsStdoutNeitherDelaysNorDies) {
  auto streams = Open("sh -c 'sleep 4712 &' & wait; echo done", kAll);
  ASSERT_NE(streams, nullptr);
  EXPECT_EQ(AwaitEnd(*streams).value_or(-1), 0);
  std::string out;
  ASSERT_TRUE(ReadUntil(streams->output(), "done\n", &out)) << out;
  // It still holds the pipe: no end of file.
  EXPECT_FALSE(ReadToEnd(streams->output(), &out, 50));
  streams.reset();
  // Left behind on purpose, as by ExecSync; it goes with the container.
  EXPECT_TRUE(Eventually([this] { return Count("4712") == 1; }));
}

TEST_F(ExecTest, TheEndOfTheContainerEndsItsExecs) {
  const auto streams = Open("sleep 4713", kAll);
  const auto terminal = Open("sleep 4713", kTerminal);
  ASSERT_NE(streams, nullptr);
  ASSERT_NE(terminal, nullptr);
  ASSERT_TRUE(
      bed_->runtime().StopContainer(container_, std::chrono::seconds(0)).ok());
  std::string out;
  EXPECT_TRUE(ReadToEnd(streams->output(), &out));
  EXPECT_TRUE(ReadToEnd(terminal->output(), &out));
  EXPECT_EQ(AwaitEnd(*streams).value_or(-1), 137);
  EXPECT_EQ(AwaitEnd(*terminal).value_or(-1), 137);
}

TEST_F(ExecTest, ADeadMonitorFailsItsExecs) {
  const auto streams = Open("sleep 4714", kAll);
  ASSERT_NE(streams, nullptr);
  ASSERT_EQ(kill(bed_->MonitorOf(pod_), SIGKILL), 0);
  EXPECT_EQ(AwaitEnd(*streams).status().code(), absl::StatusCode::kUnavailable);
}

// What a client may do at any time: leave.
TEST_F(ExecTest, SixtyFourThreadsThatComeAndGoLeaveNothing) {
  const pid_t monitor = bed_->MonitorOf(pod_);
  // Before any exec: an exec's cgroup is empty, and gone, before the monitor
  // has reaped its process and closed what it held of it.
  const size_t monitor_fds = OpenFds(monitor);
  Open("true", kAll).reset();
  ASSERT_TRUE(NoExecIsLeft());
  const size_t fds = OpenFds(getpid());
  const size_t threads = Threads(getpid());
  std::vector<std::thread> clients;
  for (unsigned t = 0; t < 64; ++t) {
    clients.emplace_back([this, t] {
      std::minstd_rand random(t + 1);
      for (int i = 0; i < 4; ++i) {
        const bool terminal = random() % 2 == 0;
        auto streams = Open("echo x; sleep 4715 & cat >/dev/null",
                            terminal ? kTerminal : kAll);
        if (streams == nullptr) continue;
        switch (random() % 4) {
          case 0:
            break;
          case 1:
            streams->CloseInput();
            break;
          case 2: {
            std::string out;
            EXPECT_TRUE(ReadUntil(streams->output(), "x", &out));
            break;
          }
          default:
            (void)WriteAll(streams->input(), std::string(70'000, 'y'), 20);
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(Eventually([&] { return OpenFds(monitor) <= monitor_fds; }))
      << OpenFds(monitor) << " instead of " << monitor_fds;
  EXPECT_TRUE(Eventually([&] { return OpenFds(getpid()) <= fds; }))
      << OpenFds(getpid()) << " instead of " << fds;
  // One that was joined is still in /proc for a moment.
  EXPECT_TRUE(Eventually([&] { return Threads(getpid()) <= threads; }))
      << Threads(getpid()) << " instead of " << threads;
}

}  // namespace
}  // namespace pinion::runtime
