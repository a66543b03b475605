// Execs in a running container, and PID namespaces that are shared.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/init.h"
#include "runtime/launch/pod_shm.h"
#include "tests/integration/launch/launch_bed.h"

namespace pinion::launch {
namespace {

using testing::HasSubstr;
using testing::Not;

class ExecTest : public LaunchTest {
 protected:
  // Runs until its standard input is closed.
  Process Sleeper() {
    Process process = Start(Shell("hostname > /tmp/mark; echo up; read x"));
    EXPECT_EQ(process.ReadLine(), "up");
    return process;
  }
};

TEST_F(ExecTest, RunsInTheContainersNamespaces) {
  Process container = Sleeper();
  LaunchSpec spec = ExecIn(container, {"sh", "-c", ""});
  spec.argv[2] =
      "for n in mnt pid cgroup; do readlink /proc/1/ns/$n; "
      "readlink /proc/self/ns/$n; done; cat /tmp/mark > /dev/null && ls / | "
      "head -1; echo $$";
  const Outcome o = Run(spec);
  ASSERT_TRUE(o.started);
  std::vector<std::string> lines;
  size_t start = 0;
  for (size_t i = 0; i < o.out.size(); ++i) {
    if (o.out[i] == '\n') {
      lines.push_back(o.out.substr(start, i - start));
      start = i + 1;
    }
  }
  ASSERT_EQ(lines.size(), 8u) << o.out << o.err;
  for (size_t i = 0; i < 6; i += 2) EXPECT_EQ(lines[i], lines[i + 1]);
  EXPECT_EQ(lines[6], "bin");
  EXPECT_NE(lines[7], "1");
}

// The descriptor given is that of another container, so that it shows whether
// it is used.
TEST_F(ExecTest, AChildOfTheCallersIsNotLookedFor) {
  Process named = Sleeper();
  Process held = Start(Shell("echo held > /tmp/held; echo up; read x"));
  ASSERT_EQ(held.ReadLine(), "up");
  const os::UniqueFd pidfd(
      static_cast<int>(syscall(SYS_pidfd_open, held.pid(), 0)));
  ASSERT_TRUE(pidfd.valid());
  const LaunchSpec spec = ExecIn(named, {"ls", "/tmp"});
  LaunchFds fds;
  fds.own_child = named.pid();
  fds.own_child_start_ticks = named.start_ticks();
  fds.own_child_pidfd = pidfd.get();
  EXPECT_EQ(Run(spec, fds).out, "held\n");
  // Another process of the same number, and none in particular.
  fds.own_child_start_ticks += 1;
  EXPECT_EQ(Run(spec, fds).out, "mark\n");
  fds.own_child_start_ticks = 0;
  EXPECT_EQ(Run(spec, fds).out, "mark\n");
}

TEST_F(ExecTest, MissingProgramSaysStepAndErrno) {
  Process container = Sleeper();
  const Outcome o = Run(ExecIn(container, {"nope"}));
  EXPECT_EQ(o.step, "exec");
  EXPECT_EQ(o.failure.error, ENOENT);
}

TEST_F(ExecTest, WorkingDirectoryIsNotMade) {
  Process container = Sleeper();
  LaunchSpec spec = ExecIn(container, {"pwd"});
  spec.working_dir = "/tmp";
  EXPECT_EQ(Run(spec).out, "/tmp\n");
  spec.working_dir = "/missing";
  const Outcome o = Run(spec);
  EXPECT_EQ(o.step, "enter working directory");
  EXPECT_EQ(o.failure.error, ENOENT);
}

TEST_F(ExecTest, ReusedPidIsRefused) {
  Process container = Sleeper();
  LaunchSpec spec = ExecIn(container, {"true"});
  // Of another process, and of one that nobody looked at.
  for (const uint64_t ticks : {spec.target_start_ticks + 1, uint64_t{0}}) {
    spec.target_start_ticks = ticks;
    const std::string plan = EncodePlan(spec);
    Launched launched;
    Failure failure;
    EXPECT_EQ(launch::Launch(plan.data(), plan.size(), {}, &launched, &failure),
              -1);
    EXPECT_EQ(failure.error, ESRCH);
    EXPECT_STREQ(StepName(failure.step), "find target process");
  }
}

TEST_F(ExecTest, CallerStaysInItsOwnPidNamespace) {
  char before[64] = {}, after[64] = {};
  const char* path = "/proc/self/ns/pid_for_children";
  ASSERT_GT(readlink(path, before, sizeof(before) - 1), 0);
  Process container = Sleeper();
  EXPECT_TRUE(Run(ExecIn(container, {"true"})).started);
  ASSERT_GT(readlink(path, after, sizeof(after) - 1), 0);
  EXPECT_STREQ(before, after);
}

TEST_F(ExecTest, ContainerCannotReadTheDescriptorsOfAnExec) {
  // A reader in the container looks at every other process all the time.
  Process container = Start(Shell(
      "echo up; while ! read -t 0 x; do for p in /proc/[0-9]*; do "
      "case $p in /proc/1|/proc/$$) ;; *) readlink $p/fd/* $p/exe;; esac;"
      " done; done 2>/dev/null | grep -v 'busybox\\|pipe:\\|/dev\\|/proc' "
      "| head -3; echo done"));
  ASSERT_EQ(container.ReadLine(), "up");
  for (int i = 0; i < 30; ++i) {
    EXPECT_TRUE(Run(ExecIn(container, {"true"})).started);
  }
  EXPECT_EQ(container.Finish().out, "done\n");
}

TEST_F(ExecTest, FakeDevptsInTheContainerIsRefused) {
  Process container = Sleeper();
  LaunchSpec swap =
      ExecIn(container, {"sh", "-c", "umount /dev/pts && touch /dev/pts/ptmx"});
  swap.capabilities.bounding |= 1u << 21;
  swap.capabilities.permitted |= 1u << 21;
  swap.capabilities.effective |= 1u << 21;
  ASSERT_EQ(Run(swap).exit_code, 0);
  LaunchSpec spec = ExecIn(container, {"tty"});
  spec.terminal = true;
  const Outcome o = Run(spec);
  EXPECT_EQ(o.step, "set up terminal");
  EXPECT_EQ(o.failure.error, ENODEV);
}

TEST_F(ExecTest, ContainerSharesTheTargetsPidNamespace) {
  Process container = Sleeper();
  LaunchSpec spec =
      Shell("for p in 1 self; do readlink /proc/$p/ns/mnt; done; echo $$");
  spec.pid_namespace = PidNamespace::kTarget;
  spec.target_pid = container.pid();
  spec.target_start_ticks = container.start_ticks();
  const Outcome o = Run(spec);
  ASSERT_TRUE(o.started);
  // Sees the target's init, in another mount namespace than its own.
  EXPECT_THAT(o.out, Not(HasSubstr("\n1\n")));
  EXPECT_THAT(o.out, HasSubstr("mnt:["));
}

// A PID namespace as the monitor makes it, with pinion's init in it.
class PodInit {
 public:
  PodInit() {
    struct clone_args args = {};
    args.flags = CLONE_NEWPID;
    args.exit_signal = SIGCHLD;
    pid_ = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof(args)));
    if (pid_ == 0) RunPodInit();
    const std::string path = "/proc/" + std::to_string(pid_) + "/ns/pid";
    fd_ = os::UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  ~PodInit() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  int fd() const { return fd_.get(); }

 private:
  pid_t pid_;
  os::UniqueFd fd_;
};

TEST_F(ExecTest, SharedPidNamespaceIsReapedByItsInit) {
  PodInit init;
  // The orphan outlives the container's init and ends unwaited.
  LaunchSpec spec = Shell(
      "echo $$; (sh -c 'sleep 0.05; exit 3' &) ; ls -d /proc/1 > /dev/null");
  spec.pid_namespace = PidNamespace::kPod;
  LaunchFds fds;
  fds.pod_pidns_fd = init.fd();
  EXPECT_EQ(Run(spec, fds).out, "2\n");
  LaunchSpec look = Shell(
      "i=0; while [ $(ls -d /proc/[0-9]* | wc -l) -gt 4 ] && [ $i -lt 2000 ]; "
      "do i=$((i+1)); sleep 0.01; done; grep -l 'State:.Z' /proc/*/status; "
      "kill -9 1; kill -TERM 1; echo alive");
  look.pid_namespace = PidNamespace::kPod;
  const Outcome o = Run(look, fds);
  EXPECT_EQ(o.out, "alive\n");
  EXPECT_EQ(kill(init.pid(), 0), 0);
}

TEST_F(ExecTest, InitShowsNothingOfTheHost) {
  PodInit init;
  LaunchSpec spec = Shell(
      "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); grep -q 'CapPrm:.0*$' "
      "/proc/1/status "
      "&& break; sleep 0.02; done; ls -A /proc/1/root/ /proc/1/fd; "
      "grep CapEff /proc/1/status");
  spec.pid_namespace = PidNamespace::kPod;
  const uint64_t all = (uint64_t{1} << 41) - 1 - (uint64_t{1} << 24);
  spec.capabilities = {all, all, all, 0};
  LaunchFds fds;
  fds.pod_pidns_fd = init.fd();
  const Outcome o = Run(spec, fds);
  EXPECT_EQ(o.out, "/proc/1/fd:\n\n/proc/1/root/:\nCapEff:\t0000000000000000\n")
      << o.err;
}

TEST_F(ExecTest, PodShmIsSharedBetweenItsContainers) {
  const os::UniqueFd shm(MakePodShm(uint64_t{1} << 20));
  ASSERT_TRUE(shm.valid());
  LaunchFds fds;
  fds.pod_shm_fd = shm.get();
  auto container = [&](const std::string& script) {
    LaunchSpec spec = Shell(script);
    BindMount mount;
    mount.target = "/dev/shm";
    mount.pod_shm = true;
    spec.mounts.insert(spec.mounts.begin(), mount);
    return Run(spec, fds);
  };
  EXPECT_EQ(container("echo shared > /dev/shm/x").exit_code, 0);
  EXPECT_EQ(container("cat /dev/shm/x").out, "shared\n");
  const Outcome o = container(
      "grep /dev/shm /proc/mounts | tail -1; "
      "dd if=/dev/zero of=/dev/shm/big bs=64k count=32; ls -dl /dev/shm");
  EXPECT_THAT(o.out, HasSubstr("nosuid,nodev,noexec"));
  EXPECT_THAT(o.out, HasSubstr("drwxrwxrwt"));
  EXPECT_THAT(o.err, HasSubstr("No space left"));
}

}  // namespace
}  // namespace pinion::launch
