// The daemon dies, is replaced or stops; the monitor dies or stops.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "runtime/launch/plan_writer.h"
#include "tests/integration/monitor/monitor_bed.h"
#include "tests/support/child.h"

namespace pinion::monitor {
namespace {

using OutageTest = MonitorTest;

// Half of the lines are more than a pipe holds. No more than that: an emulated
// machine, too, must have written them before Eventually gives up.
constexpr int kContainers = 10;
constexpr int kLines = 14'000;

constexpr int64_t kSecond = 1'000'000'000;

std::string Name(int i) { return "c" + std::to_string(i); }

// Writes "line <from>" … "line <to - 1>".
std::string Counting(int from, int to) {
  return "i=" + std::to_string(from) + "; while [ $i -lt " +
         std::to_string(to) + " ]; do echo line $i; i=$((i+1)); done; ";
}

TEST_F(OutageTest, DaemonIsKilledWhileContainersWrite) {
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  testing_support::Child daemon([&] {
    StartPod();
    for (int i = 0; i < kContainers; ++i) {
      // The first half ends during the outage, each with its own code.
      const std::string end =
          i < kContainers / 2 ? "exit " + std::to_string(i) : "sleep 1000";
      RunGated(Name(i), Counting(0, kLines / 2),
               Counting(kLines / 2, kLines) + end);
    }
    (void)!write(ready[1], "x", 1);
    pause();
    return 0;
  });
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const int64_t killed_at = WallNanos() / kSecond;
  ASSERT_EQ(kill(daemon.pid(), SIGKILL), 0);
  EXPECT_EQ(daemon.Wait(), -SIGKILL);
  OpenGate();
  close(ready[0]);
  close(ready[1]);
  ASSERT_TRUE(Eventually([&] {
    const auto records = ReadExitRecords(pod_dir_fd_.get());
    return records.ok() && records->size() == kContainers / 2;
  }));
  const int64_t back_at = WallNanos() / kSecond;

  std::vector<ContainerReport> containers;
  client_ = Reconnect(events_, &containers);
  ASSERT_NE(client_, nullptr);
  ASSERT_EQ(containers.size(), size_t{kContainers});
  for (int i = 0; i < kContainers; ++i) {
    const ContainerReport& report = containers[static_cast<size_t>(i)];
    EXPECT_EQ(report.id, Name(i));
    EXPECT_EQ(report.ended, i < kContainers / 2);
    EXPECT_EQ(report.pid == 0, report.ended);
    EXPECT_GT(report.start_ticks, 0u);
  }
  for (int i = 0; i < kContainers / 2; ++i) {
    const ExitRecord exit = events_.WaitExit(Name(i));
    EXPECT_EQ(exit.exit_code, i);
    EXPECT_GE(exit.finished_at_ns / kSecond, killed_at - 60);
    EXPECT_LE(exit.finished_at_ns / kSecond, back_at);
    EXPECT_EQ(exit.dropped_log_lines, 0u);
  }
  for (int i = kContainers / 2; i < kContainers; ++i) {
    ASSERT_TRUE(Eventually([&] { return Log(Name(i)).size() == kLines; }))
        << Name(i);
    EXPECT_TRUE(client_->Signal(Name(i), SIGKILL, Soon()).ok());
    EXPECT_EQ(events_.WaitExit(Name(i)).exit_code, 137);
  }
  for (int i = 0; i < kContainers; ++i) {
    const std::vector<Line> lines = Log(Name(i));
    ASSERT_EQ(lines.size(), size_t{kLines});
    for (size_t n = 0; n < lines.size(); ++n) {
      ASSERT_EQ(lines[n].text, "line " + std::to_string(n));
    }
    EXPECT_EQ(events_.CountExits(Name(i)), 1u);
  }

  // Acknowledged: the next connection is told nothing again.
  containers.clear();
  client_.reset();
  client_ = Reconnect(later_, &containers);
  ASSERT_NE(client_, nullptr);
  EXPECT_EQ(containers.size(), size_t{kContainers});
  EXPECT_TRUE(client_->Forget("c0", Soon()).ok());
  for (int i = 0; i < kContainers; ++i) {
    EXPECT_EQ(later_.CountExits(Name(i)), 0u);
  }
}

// Its client was the daemon's; but what a command left behind on purpose, as
// a postStart hook may, goes on.
TEST_F(OutageTest, AnExecEndsWithItsDaemonAndIsReportedAfterIt) {
  StartPod();
  const Started container = Run("c1", "sleep 1000");
  const auto exec = [&](const std::string& id, const std::string& script) {
    const os::UniqueFd cgroup = Leaf("c1/" + id);
    ExecRequest request;
    request.container_id = "c1";
    request.exec_id = id;
    request.plan = launch::EncodePlan(ExecIn(container, script));
    request.cgroup_fd = cgroup.get();
    ASSERT_TRUE(client_->Exec(request, Soon()).ok());
  };
  const auto processes = [this](const std::string& id) {
    return cgroup_->Pids(cgroup_->path() + "/c1/" + id).size();
  };
  exec("e0", "sleep 1000 & exit 0");
  EXPECT_EQ(events_.WaitExit("e0").exit_code, 0);
  exec("e1", "sleep 1000 & sleep 1000");
  ASSERT_TRUE(Eventually([&] { return processes("e1") >= 2; }));
  client_.reset();
  EXPECT_TRUE(Eventually([&] { return processes("e1") == 0; }));
  std::vector<ContainerReport> containers;
  client_ = Reconnect(later_, &containers);
  ASSERT_NE(client_, nullptr);
  ASSERT_EQ(containers.size(), 1u) << "an exec is no container";
  EXPECT_FALSE(containers[0].ended);
  EXPECT_EQ(later_.WaitExit("e1").signal, SIGKILL);
  EXPECT_EQ(events_.CountExits("e1"), 0u);
  EXPECT_EQ(events_.lost(), 0u) << "we closed it ourselves";
  EXPECT_EQ(processes("e0"), 1u);
}

TEST_F(OutageTest, ANewerConnectionReplacesTheOlder) {
  StartPod();
  Run("c1", "sleep 1000");
  std::vector<ContainerReport> containers;
  auto second = Reconnect(later_, &containers);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->pid(), client_->pid());
  EXPECT_EQ(second->start_ticks(), client_->start_ticks());
  EXPECT_EQ(containers.size(), 1u);
  EXPECT_TRUE(absl::IsUnavailable(client_->Signal("c1", SIGKILL, Soon())));
  EXPECT_EQ(events_.lost(), 0u) << "the monitor lives";
  EXPECT_TRUE(second->Signal("c1", SIGKILL, Soon()).ok());
  EXPECT_EQ(later_.WaitExit("c1").signal, SIGKILL);
  EXPECT_EQ(events_.CountExits("c1"), 0u);
  client_ = std::move(second);
}

TEST_F(OutageTest, AKilledMonitorIsNoticed) {
  StartPod();
  const Started container = Run("c1", "exit 3");
  events_.WaitExit("c1");
  const Started running = Run("c2", "sleep 1000");
  const auto before = std::chrono::steady_clock::now();
  ASSERT_EQ(kill(client_->pid(), SIGKILL), 0);
  ASSERT_TRUE(events_.WaitLost());
  const auto took = std::chrono::steady_clock::now() - before;
  std::printf("  on_lost after %.2f ms\n",
              std::chrono::duration<double, std::milli>(took).count());
  EXPECT_TRUE(absl::IsUnavailable(client_->Signal("c2", SIGTERM, Soon())));
  EXPECT_TRUE(absl::IsUnavailable(
      client_->Start(Request("c3", "true"), Soon()).status()));
  EXPECT_TRUE(client_->Shutdown(Soon()).ok());
  std::vector<ContainerReport> containers;
  EXPECT_TRUE(
      absl::IsUnavailable(MonitorClient::Reconnect("pod", pod_dir_fd_.get(),
                                                   reactor(), {}, &containers)
                              .status()));
  // What was recorded is still there for the daemon.
  const auto records = ReadExitRecords(pod_dir_fd_.get());
  ASSERT_TRUE(records.ok() && records->size() == 1);
  EXPECT_EQ(records->front().exit_code, 3);
  EXPECT_EQ(events_.lost(), 1u);
  // The container is the daemon's to kill, by its cgroup.
  EXPECT_EQ(kill(running.pid, SIGKILL), 0);
  (void)container;
}

TEST_F(OutageTest, AStoppedMonitorCostsOnlyTheDeadline) {
  StartPod();
  Run("c1", "sleep 1000");
  const size_t fds = OpenFds(getpid());
  ASSERT_EQ(kill(client_->pid(), SIGSTOP), 0);
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(client_->Signal("c1", SIGCONT, deadline)));
  // Its answer will come late: nobody takes the descriptors in it.
  SandboxRequest request;
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client_->SetUpSandbox(request, deadline).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client_->Start(Request("c2", "exit 6"), deadline).status()));
  // More requests than the socket holds.
  for (int i = 0; i < 2000; ++i) {
    const absl::Status status = client_->Signal("c1", SIGCONT, deadline);
    ASSERT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  }
  // All of them returned while it was stopped.
  ASSERT_EQ(kill(client_->pid(), SIGCONT), 0);
  EXPECT_EQ(events_.WaitExit("c2").exit_code, 6) << "it started all the same";
  EXPECT_TRUE(client_->Signal("c1", SIGKILL, Soon()).ok());
  EXPECT_EQ(events_.WaitExit("c1").exit_code, 137);
  EXPECT_TRUE(Eventually([&] { return OpenFds(getpid()) <= fds; }));
  EXPECT_EQ(events_.lost(), 0u);
}

TEST_F(OutageTest, DescriptorsOfALateAnswerAreClosed) {
  StartMonitor();
  const size_t fds = OpenFds(getpid());
  ASSERT_EQ(kill(client_->pid(), SIGSTOP), 0);
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client_->SetUpSandbox({}, std::chrono::steady_clock::now()).status()));
  ASSERT_EQ(kill(client_->pid(), SIGCONT), 0);
  // Answered after the late one.
  EXPECT_TRUE(client_->Forget("c1", Soon()).ok());
  EXPECT_EQ(OpenFds(getpid()), fds);
  EXPECT_EQ(client_->SetUpSandbox({}, Soon()).status(),
            absl::FailedPreconditionError("set up sandbox twice: EALREADY"));
}

// faults.md, 8.
TEST_F(OutageTest, AMonitorWithoutDescriptorsRefusesAndRecovers) {
  StartPod();
  Run("c1", "sleep 1000");
  rlimit before = {};
  ASSERT_EQ(prlimit(client_->pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const size_t open_fds = RestingFds();
  int refused = 0;
  for (rlim_t spare = 0; spare < 16; ++spare) {
    SCOPED_TRACE(spare);
    const rlimit tight = {open_fds + spare, before.rlim_max};
    ASSERT_EQ(prlimit(client_->pid(), RLIMIT_NOFILE, &tight, nullptr), 0);
    StartRequest request = Request("c2", "exit 0");
    const os::UniqueFd leaf = Leaf("c2");
    request.cgroup_fd = leaf.get();
    const auto started = client_->Start(request, Soon());
    if (started.ok()) {
      EXPECT_EQ(events_.WaitExit("c2").exit_code, 0);
    } else {
      ++refused;
      EXPECT_TRUE(absl::IsResourceExhausted(started.status()) ||
                  absl::IsFailedPrecondition(started.status()))
          << started.status();
    }
    EXPECT_TRUE(client_->Forget("c2", Soon()).ok());
    events_.Clear();
    EXPECT_TRUE(Eventually([&] { return OpenFds(client_->pid()) <= open_fds; }))
        << OpenFds(client_->pid());
  }
  EXPECT_GT(refused, 3);
  EXPECT_LT(refused, 16);
  // Stop works without any.
  const rlimit none = {open_fds, before.rlim_max};
  ASSERT_EQ(prlimit(client_->pid(), RLIMIT_NOFILE, &none, nullptr), 0);
  EXPECT_TRUE(client_->Signal("c1", SIGKILL, Soon()).ok());
  EXPECT_EQ(events_.WaitExit("c1").exit_code, 137);
  EXPECT_EQ(events_.lost(), 0u);
}

// A container that writes leaves no quiet second.
TEST_F(OutageTest, ABusyMonitorAcceptsAgainWhenThereAreDescriptors) {
  StartPod();
  Run("c1", "while :; do echo line; sleep 0.05; done");
  const pid_t monitor = client_->pid();
  rlimit before = {};
  ASSERT_EQ(prlimit(monitor, RLIMIT_NOFILE, nullptr, &before), 0);
  client_.reset();
  const rlimit none = {0, before.rlim_max};
  ASSERT_EQ(prlimit(monitor, RLIMIT_NOFILE, &none, nullptr), 0);
  Events unanswered;
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      MonitorClient::Reconnect("pod", pod_dir_fd_.get(), reactor(),
                               unanswered.MakeCallbacks(), nullptr)
          .status()));
  ASSERT_EQ(prlimit(monitor, RLIMIT_NOFILE, &before, nullptr), 0);
  std::vector<ContainerReport> containers;
  // It tries a second later, and a daemon would ask again.
  ASSERT_TRUE(Eventually([&] {
    containers.clear();
    auto client = MonitorClient::Reconnect("pod", pod_dir_fd_.get(), reactor(),
                                           later_.MakeCallbacks(), &containers);
    if (client.ok()) client_ = std::move(*client);
    return client.ok();
  }));
  EXPECT_EQ(containers.size(), 1u);
}

TEST_F(OutageTest, AStoppedDaemonDoesNotStopTheContainers) {
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  testing_support::Child daemon([&] {
    StartPod();
    for (int i = 0; i < 4; ++i)
      RunGated(Name(i), "", Counting(0, 2000) + "exit 1");
    (void)!write(ready[1], "x", 1);
    pause();
    return 0;
  });
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(kill(daemon.pid(), SIGSTOP), 0);
  OpenGate();
  ASSERT_TRUE(Eventually([&] {
    const auto records = ReadExitRecords(pod_dir_fd_.get());
    return records.ok() && records->size() == 4;
  }));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Log(Name(i)).size(), 2000u);
  close(ready[0]);
  close(ready[1]);
  std::vector<ContainerReport> containers;
  client_ = Reconnect(events_, &containers);
  ASSERT_NE(client_, nullptr);
  EXPECT_EQ(containers.size(), 4u);
}

}  // namespace
}  // namespace pinion::monitor
