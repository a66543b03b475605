// Containers in a user namespace: what is whose, inside and on the host.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "tests/integration/launch/launch_bed.h"

namespace pinion::launch {
namespace {

using testing::HasSubstr;

constexpr uid_t kHostUid = 100000;
constexpr gid_t kHostGid = 200000;
constexpr uid_t kNobody = 65534;  // /proc/sys/kernel/overflowuid

// A user namespace in which 0 is kHostUid and kHostGid.
os::UniqueFd MakeUserNamespace() {
  clone_args arguments = {};
  arguments.flags = CLONE_NEWUSER;
  arguments.exit_signal = SIGCHLD;
  const pid_t pid =
      static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
  if (pid == 0) {
    while (true) pause();
  }
  EXPECT_GT(pid, 0);
  const std::string proc = "/proc/" + std::to_string(pid);
  const auto write_map = [&](const char* name, unsigned first) {
    const std::string map = "0 " + std::to_string(first) + " 65536";
    os::UniqueFd fd(open((proc + name).c_str(), O_WRONLY | O_CLOEXEC));
    EXPECT_EQ(write(fd.get(), map.data(), map.size()),
              static_cast<ssize_t>(map.size()));
  };
  write_map("/uid_map", kHostUid);
  write_map("/gid_map", kHostGid);
  os::UniqueFd fd(open((proc + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  return fd;
}

class UserNamespaceTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    namespace_ = MakeUserNamespace();
    fds_.pod_userns_fd = namespace_.get();
  }

  void TearDown() override {
    // The preparers, as the monitor reaps them.
    siginfo_t info = {};
    while (waitid(P_ALL, 0, &info, WEXITED | __WALL) == 0) {
    }
    LaunchTest::TearDown();
  }

  // With the host's network, and without an IPC namespace whose message
  // queues it might mount.
  LaunchSpec Mapped(LaunchSpec spec) {
    spec.user_namespace.enabled = true;
    spec.user_namespace.root_uid = kHostUid;
    spec.user_namespace.root_gid = kHostGid;
    spec.user_namespace.stdio_uid = kHostUid + spec.uid;
    spec.user_namespace.host_sysfs = true;
    auto& mounts = spec.kernel_mounts;
    mounts.erase(
        std::remove_if(mounts.begin(), mounts.end(),
                       [](const KernelMount& m) { return m.type == "mqueue"; }),
        mounts.end());
    return spec;
  }

  static struct stat Stat(const std::string& path) {
    struct stat st = {};
    EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
    return st;
  }

  static ino_t InodeOf(int fd) {
    struct stat st = {};
    EXPECT_EQ(fstat(fd, &st), 0);
    return st.st_ino;
  }

  os::UniqueFd namespace_;
  LaunchFds fds_;
};

TEST_F(UserNamespaceTest, RootInsideIsNobodyOnTheHost) {
  Process process =
      Start(Mapped(Shell("id -u; id -g; stat -c %u:%g /bin/busybox; echo $$; "
                         "read x; cat /proc/self/uid_map | tr -s ' '")),
            fds_);
  EXPECT_EQ(process.ReadLine(), "0");
  EXPECT_EQ(process.ReadLine(), "0");
  EXPECT_EQ(process.ReadLine(), "0:0");
  EXPECT_EQ(process.ReadLine(), "1");
  const struct stat st = Stat("/proc/" + std::to_string(process.pid()));
  EXPECT_EQ(st.st_uid, kHostUid);
  EXPECT_EQ(st.st_gid, kHostGid);
  const Outcome o = process.Finish();
  EXPECT_TRUE(o.started);
  EXPECT_EQ(o.out, " 0 100000 65536\n") << o.err;
}

TEST_F(UserNamespaceTest, TheWritableLayerHoldsTheContainersIds) {
  const Outcome o =
      Run(Mapped(Shell("echo hi > /made; chown 5:6 /made; mkdir /dir; "
                       "rm /bin/sh; ln -s busybox /bin/sh2; stat -c %u /dir")),
          fds_);
  ASSERT_TRUE(o.started);
  EXPECT_EQ(o.out, "0\n") << o.err;
  EXPECT_EQ(Stat(upper() + "/made").st_uid, 5u);
  EXPECT_EQ(Stat(upper() + "/made").st_gid, 6u);
  EXPECT_EQ(Stat(upper() + "/dir").st_uid, 0u);
  // The whiteout of what it removed.
  EXPECT_TRUE(S_ISCHR(Stat(upper() + "/usr/bin/sh").st_mode));
}

TEST_F(UserNamespaceTest, AnotherUserWritesItsStdioByName) {
  LaunchSpec spec =
      Mapped(Shell("id -u; id -G; echo by name > /dev/stdout; id -u > /tmp/x "
                   "|| echo refused"));
  spec.uid = 1234;
  spec.gid = 2345;
  spec.groups = {3456};
  spec.user_namespace.stdio_uid = kHostUid + 1234;
  spec.capabilities = {};
  const Outcome o = Run(spec, fds_);
  ASSERT_TRUE(o.started);
  EXPECT_THAT(o.out, HasSubstr("1234\n2345 3456\nby name\n")) << o.err;
}

TEST_F(UserNamespaceTest, VolumesAreMappedWhereAsked) {
  for (const char* name : {"mapped", "plain"}) {
    ASSERT_EQ(mkdir((dir() + "/" + name).c_str(), 0755), 0);
    WriteFile(dir() + "/" + name + "/file", "x\n");
  }
  LaunchSpec spec =
      Mapped(Shell("stat -c %u /mapped/file /plain/file; echo y > /mapped/new "
                   "&& echo written; echo y > /plain/new || echo refused"));
  BindMount mapped;
  mapped.source = dir() + "/mapped";
  mapped.target = "/mapped";
  mapped.mapped_ids = true;
  BindMount plain = mapped;
  plain.source = dir() + "/plain";
  plain.target = "/plain";
  plain.mapped_ids = false;
  spec.mounts.push_back(mapped);
  spec.mounts.push_back(plain);
  const Outcome o = Run(spec, fds_);
  ASSERT_TRUE(o.started);
  EXPECT_EQ(o.out, "0\n" + std::to_string(kNobody) + "\nwritten\nrefused\n")
      << o.err;
  EXPECT_EQ(Stat(dir() + "/mapped/new").st_uid, 0u);
}

TEST_F(UserNamespaceTest, AVolumeThatCannotBeMappedIsNamed) {
  LaunchSpec spec = Mapped(Shell("true"));
  BindMount proc;
  proc.source = "/proc";
  proc.target = "/host-proc";
  proc.mapped_ids = true;
  spec.mounts.push_back(proc);
  const Outcome o = Start(spec, fds_).Finish();
  EXPECT_FALSE(o.started);
  EXPECT_EQ(o.step, "map ids (can the file system?) of");
  EXPECT_STREQ(o.failure.object, "/proc");
  EXPECT_EQ(o.failure.error, EINVAL);
}

TEST_F(UserNamespaceTest, DevicesWorkAndKeepTheirOwners) {
  LaunchSpec spec =
      Mapped(Shell("echo x > /dev/null && head -c 2 /dev/zero | wc -c; "
                   "stat -c %u /dev/null /dev/pts/ptmx; ls -d /dev/shm; "
                   "mknod /dev/mine c 1 3 || echo refused; "
                   "cat /dev/secret || echo denied; readlink /dev/fd"));
  spec.devices.push_back({"/dev/secret", 'c', 1, 5, 0600, 0, 0});
  const Outcome o = Run(spec, fds_);
  ASSERT_TRUE(o.started);
  const std::string nobody = std::to_string(kNobody) + "\n";
  EXPECT_EQ(o.out, "2\n" + nobody +
                       "0\n/dev/shm\nrefused\ndenied\n"
                       "/proc/self/fd\n")
      << o.err;
}

TEST_F(UserNamespaceTest, NothingOfTheHostIsLeft) {
  const Outcome o = Run(
      Mapped(Shell("wc -l < /proc/self/mountinfo; ls /tmp; cat /proc/1/comm; "
                   "echo 1 > /proc/sys/kernel/panic || echo refused; "
                   "cat /proc/kcore | wc -c; touch /sys/x || echo readonly")),
      fds_);
  ASSERT_TRUE(o.started);
  EXPECT_THAT(o.out, HasSubstr("\nsh\nrefused\n0\nreadonly\n")) << o.err;
  EXPECT_LT(std::stoi(o.out), 40);
}

TEST_F(UserNamespaceTest, ExecEntersTheUserNamespace) {
  Process container = Start(Mapped(Shell("echo up; read x")), fds_);
  ASSERT_EQ(container.ReadLine(), "up");
  LaunchSpec spec =
      ExecIn(container, {"sh", "-c",
                         "id -u; id -G; readlink /proc/self/ns/user; echo by "
                         "name > /dev/stdout"});
  spec.uid = 7;
  spec.gid = 8;
  spec.user_namespace.enabled = true;
  spec.user_namespace.stdio_uid = kHostUid + 7;
  const Outcome o = Run(spec);
  ASSERT_TRUE(o.started);
  EXPECT_EQ(o.out, "7\n8\nuser:[" + std::to_string(InodeOf(namespace_.get())) +
                       "]\nby name\n")
      << o.err;
}

TEST_F(UserNamespaceTest, BothHaveATerminal) {
  LaunchSpec spec = Mapped(Shell("tty; stat -c %u /dev/console; read x"));
  spec.terminal = true;
  LaunchFds fds = fds_;
  fds.stdin_fd = fds.stdout_fd = fds.stderr_fd = kNoStream;
  Process container = Start(spec, fds);
  Failure failure;
  ASSERT_TRUE(container.WaitExec(&failure)) << StepName(failure.step);
  container.Kill(SIGKILL);
  EXPECT_EQ(container.Finish().exit_code, 128 + SIGKILL);
}

TEST_F(UserNamespaceTest, WithoutTheNamespaceThePlanIsRefused) {
  const std::string plan = EncodePlan(Mapped(Shell("true")));
  Launched launched;
  Failure failure;
  EXPECT_EQ(launch::Launch(plan.data(), plan.size(), {}, &launched, &failure),
            -1);
  EXPECT_STREQ(StepName(failure.step), "clone into user namespace");
  EXPECT_EQ(failure.error, EBADF);
}

}  // namespace
}  // namespace pinion::launch
