// One monitor, one daemon: starting, ending, signals, execs, the sandbox.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"
#include "runtime/launch/plan_writer.h"
#include "tests/integration/monitor/monitor_bed.h"

namespace pinion::monitor {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using LifecycleTest = MonitorTest;

TEST_F(LifecycleTest, ContainerRunsIsLoggedAndItsExitIsReported) {
  StartPod();
  const int64_t before = WallNanos();
  const Started started = Run("c1", "echo out; echo err >&2; exit 7");
  EXPECT_GT(started.pid, 0);
  EXPECT_GT(started.start_ticks, 0u);
  EXPECT_GE(started.started_at_ns, before);
  const ExitRecord exit = events_.WaitExit("c1");
  EXPECT_EQ(exit.exit_code, 7);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_FALSE(exit.oom_killed);
  EXPECT_EQ(exit.error, "");
  EXPECT_GE(exit.finished_at_ns, started.started_at_ns);
  EXPECT_LE(exit.finished_at_ns, WallNanos());
  EXPECT_EQ(Text("c1", "stdout"), "out\n");
  EXPECT_EQ(Text("c1", "stderr"), "err\n");
  struct stat st = {};
  ASSERT_EQ(stat(LogPath("c1").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, mode_t{S_IFREG | 0640});
}

TEST_F(LifecycleTest, SignalEndsAContainerAndItsNumberIsReported) {
  StartPod();
  Run("c1", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(Eventually([&] { return Text("c1", "stdout") == "ready\n"; }));
  EXPECT_TRUE(client_->Signal("c1", SIGTERM, Soon()).ok());
  EXPECT_EQ(events_.WaitExit("c1").exit_code, 9);

  Run("c2", "sleep 1000");
  EXPECT_TRUE(client_->Signal("c2", SIGKILL, Soon()).ok());
  const ExitRecord exit = events_.WaitExit("c2");
  EXPECT_EQ(exit.exit_code, 137);
  EXPECT_EQ(exit.signal, SIGKILL);
  // Ended already is success, unknown is not.
  EXPECT_TRUE(client_->Signal("c2", SIGKILL, Soon()).ok());
  EXPECT_TRUE(absl::IsNotFound(client_->Signal("c3", SIGKILL, Soon())));
}

TEST_F(LifecycleTest, StartThatFailsSaysWhyAndIsNoExit) {
  StartPod();
  StartRequest request = Request("c1", "true");
  launch::LaunchSpec spec = Shell("");
  spec.argv = {"/nope"};
  request.plan = launch::EncodePlan(spec);
  const auto started = client_->Start(request, Soon());
  EXPECT_EQ(started.status(),
            absl::FailedPreconditionError("exec /nope: ENOENT"));
  // On disk, and known to a daemon that comes later, until forgotten.
  auto records = ReadExitRecords(pod_dir_fd_.get());
  ASSERT_TRUE(records.ok() && records->size() == 1) << records.status();
  EXPECT_EQ(records->front().error, "exec /nope: ENOENT");
  EXPECT_EQ(records->front().exit_code, 128);
  std::vector<ContainerReport> containers;
  client_ = Reconnect(later_, &containers);
  ASSERT_EQ(containers.size(), 1u);
  EXPECT_TRUE(containers[0].ended);
  EXPECT_EQ(containers[0].exit.error, "exec /nope: ENOENT");
  EXPECT_TRUE(client_->Forget("c1", Soon()).ok());
  EXPECT_EQ(ReadExitRecords(pod_dir_fd_.get())->size(), 0u);
  EXPECT_EQ(events_.CountExits("c1") + later_.CountExits("c1"), 0u);
}

TEST_F(LifecycleTest, BadLogPathsAreRefusedAndLeaveNoProcess) {
  StartPod();
  StartRequest request = Request("c1", "sleep 1000");
  request.log_path = dir_ + "/missing/0.log";
  EXPECT_EQ(client_->Start(request, Soon()).status(),
            absl::FailedPreconditionError("open log " + request.log_path +
                                          ": ENOENT"));
  request.container_id = "c2";
  request.log_path = LogPath("c2");
  ASSERT_EQ(symlink("/etc/motd", request.log_path.c_str()), 0);
  EXPECT_THAT(client_->Start(request, Soon()).status().ToString(),
              HasSubstr("ELOOP"));
  request.container_id = "c3";
  request.log_path = LogPath("c3");
  ASSERT_EQ(mkfifo(request.log_path.c_str(), 0600), 0);
  EXPECT_THAT(client_->Start(request, Soon()).status().ToString(),
              HasSubstr("ENXIO"));
}

TEST_F(LifecycleTest, AnIdInUseIsRefusedAndForgetFreesIt) {
  StartPod();
  Run("c1", "sleep 1000");
  EXPECT_TRUE(absl::IsAlreadyExists(
      client_->Start(Request("c1", "true"), Soon()).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(client_->Forget("c1", Soon())));
  EXPECT_TRUE(client_->Signal("c1", SIGKILL, Soon()).ok());
  events_.WaitExit("c1");
  EXPECT_EQ(ReadExitRecords(pod_dir_fd_.get())->size(), 1u);
  EXPECT_TRUE(client_->Forget("c1", Soon()).ok());
  EXPECT_EQ(ReadExitRecords(pod_dir_fd_.get())->size(), 0u);
  EXPECT_TRUE(client_->Forget("c1", Soon()).ok());
  events_.Clear();
  Run("c1", "exit 3");
  EXPECT_EQ(events_.WaitExit("c1").exit_code, 3);
}

TEST_F(LifecycleTest, ExecHasTheDaemonsStdioAndReportsItsExit) {
  StartPod();
  const Started container = Run("c1", "sleep 1000");
  int in[2], out[2];
  ASSERT_EQ(pipe2(in, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
  ExecRequest request;
  request.container_id = "c1";
  request.exec_id = "e1";
  request.plan =
      launch::EncodePlan(ExecIn(container, "cat; echo $$ >&2; exit 5"));
  const os::UniqueFd cgroup = Leaf("c1/exec-e1");
  request.cgroup_fd = cgroup.get();
  request.stdin_fd = in[0];
  request.stdout_fd = out[1];
  request.stderr_fd = out[1];
  const auto started = client_->Exec(request, Soon());
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_FALSE(cgroup_->Pids(cgroup_->path() + "/c1/exec-e1").empty());
  close(in[0]);
  close(out[1]);
  ASSERT_EQ(write(in[1], "hello\n", 6), 6);
  close(in[1]);
  const auto text = os::ReadFd(out[0], "exec's output");
  close(out[0]);
  EXPECT_THAT(text.value_or(""), StartsWith("hello\n"));
  const ExitRecord exit = events_.WaitExit("e1");
  EXPECT_EQ(exit.exit_code, 5);
  // An exec leaves no record.
  EXPECT_EQ(ReadExitRecords(pod_dir_fd_.get())->size(), 0u);
}

TEST_F(LifecycleTest, ExecThatCannotStartIsForgottenAtOnce) {
  StartPod();
  const Started container = Run("c1", "sleep 1000");
  ExecRequest request;
  request.container_id = "c1";
  request.exec_id = "e1";
  launch::LaunchSpec spec = ExecIn(container, "");
  spec.argv = {"nothing-like-this"};
  request.plan = launch::EncodePlan(spec);
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = client_->Exec(request, Soon()).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(status.ToString(), HasSubstr("nothing-like-this"));
  }
  EXPECT_EQ(events_.CountExits("e1"), 0u);
}

TEST_F(LifecycleTest, SandboxHasItsNamespacesHostnameAndSysctls) {
  SandboxRequest request;
  request.hostname = "web-0";
  request.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "80"},
                     {"kernel.shm_rmid_forced", "1"}};
  StartPod(request);
  const std::string path = "/proc/" + std::to_string(sandbox_.monitor_pid) +
                           "/fd/" + std::to_string(kMonitorNetnsFd);
  struct stat by_path = {}, by_fd = {}, own = {};
  ASSERT_EQ(stat(path.c_str(), &by_path), 0);
  ASSERT_EQ(fstat(sandbox_.netns.get(), &by_fd), 0);
  ASSERT_EQ(stat("/proc/self/ns/net", &own), 0);
  EXPECT_EQ(by_path.st_ino, by_fd.st_ino);
  EXPECT_NE(by_path.st_ino, own.st_ino);
  EXPECT_TRUE(sandbox_.netns_route_socket.valid());
  Run("c1",
      "hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start "
      "/proc/sys/kernel/shm_rmid_forced; ls /sys/class/net 2>/dev/null; "
      "cat /proc/net/dev | grep -c :");
  events_.WaitExit("c1");
  EXPECT_THAT(Text("c1", "stdout"), StartsWith("web-0\n80\n1\n"));
}

TEST_F(LifecycleTest, SysctlOfTheNodeIsRefused) {
  for (const char* name : {"vm.swappiness", "kernel.panic",
                           "net/../vm.swappiness", "kernel.shm"}) {
    SCOPED_TRACE(name);
    SandboxRequest request;
    request.sysctls = {{name, "1"}};
    Events events;
    MonitorClient::SpawnOptions options;
    options.pod_id = "pod";
    options.pod_dir_fd = pod_dir_fd_.get();
    options.image_fd = image_.get();
    auto client =
        MonitorClient::Spawn(options, reactor(), events.MakeCallbacks());
    ASSERT_TRUE(client.ok()) << client.status();
    EXPECT_FALSE((*client)->SetUpSandbox(request, Soon()).ok());
    EXPECT_TRUE((*client)->Shutdown(Soon()).ok());
  }
}

TEST_F(LifecycleTest, SharedPidNamespaceHasAReapingInit) {
  SandboxRequest request;
  request.new_network = false;
  request.shared_pid = true;
  StartPod(request);
  ASSERT_GT(sandbox_.init_pid, 0);
  StartRequest start = Request("c1", "");
  launch::LaunchSpec spec = Shell("cat /proc/1/comm; echo $$; sleep 1000");
  spec.pid_namespace = launch::PidNamespace::kPod;
  start.plan = launch::EncodePlan(spec);
  ASSERT_TRUE(client_->Start(start, Soon()).ok());
  ASSERT_TRUE(Eventually([&] { return Log("c1").size() >= 2; }));
  EXPECT_THAT(Text("c1", "stdout"), StartsWith("pinion-init\n"));
  EXPECT_NE(Log("c1")[1].text, "1");
  ASSERT_EQ(kill(sandbox_.init_pid, SIGKILL), 0);
  const auto inits = events_.init_exits();
  ASSERT_EQ(inits.size(), 1u);
  EXPECT_EQ(inits[0].signal, SIGKILL);
  EXPECT_EQ(events_.WaitExit("c1").exit_code, 137);
}

TEST_F(LifecycleTest, ContainersOfAPodShareItsShm) {
  SandboxRequest request;
  request.new_network = false;
  request.shm_bytes = uint64_t{1} << 20;
  StartPod(request);
  StartRequest start = Request("c1", "");
  plan::RootfsOptions options;
  options.pod_shm = true;
  launch::LaunchSpec spec = Shell("echo shared > /dev/shm/x", options);
  start.plan = launch::EncodePlan(spec);
  ASSERT_TRUE(client_->Start(start, Soon()).ok());
  EXPECT_EQ(events_.WaitExit("c1").exit_code, 0) << Text("c1", "stderr");
  start.container_id = "c2";
  start.log_path = LogPath("c2");
  spec = Shell("cat /dev/shm/x; df -k /dev/shm | tail -1", options);
  start.plan = launch::EncodePlan(spec);
  ASSERT_TRUE(client_->Start(start, Soon()).ok());
  EXPECT_EQ(events_.WaitExit("c2").exit_code, 0);
  EXPECT_THAT(Text("c2", "stdout"), StartsWith("shared\n"));
  EXPECT_THAT(Text("c2", "stdout"), HasSubstr(" 1024 "));
}

TEST_F(LifecycleTest, ShutdownKillsWhatRunsAndLeavesRecordsAndNoZombie) {
  StartPod();
  const pid_t monitor = client_->pid();
  const Started container = Run("c1", "echo -n last; exec sleep 1000");
  ASSERT_TRUE(client_->Shutdown(Soon()).ok());
  EXPECT_EQ(events_.lost(), 0u);
  const auto records = ReadExitRecords(pod_dir_fd_.get());
  ASSERT_TRUE(records.ok() && records->size() == 1);
  EXPECT_EQ(records->front().exit_code, 137);
  EXPECT_NE(kill(container.pid, 0), 0);
  // Reaped by the reactor.
  EXPECT_TRUE(Eventually([monitor] { return kill(monitor, 0) != 0; }));
  EXPECT_TRUE(client_->Shutdown(Soon()).ok()) << "gone already is success";
}

}  // namespace
}  // namespace pinion::monitor
