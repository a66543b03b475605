// Containers: namespaces, root, failures, descriptors.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "tests/integration/launch/launch_bed.h"

namespace pinion::launch {
namespace {

using testing::HasSubstr;
using testing::Not;

using ContainerTest = LaunchTest;

TEST_F(ContainerTest, RunsAsPidOneInItsOwnRoot) {
  const Outcome o = Run(Shell("echo $$; pwd; ls /; exit 7"));
  ASSERT_TRUE(o.started);
  EXPECT_EQ(o.exit_code, 7);
  EXPECT_EQ(o.out, "1\n/\nbin\ndev\netc\nproc\nroot\nsys\ntmp\nusr\n");
  EXPECT_EQ(o.err, "");
}

TEST_F(ContainerTest, WritesGoToTheUpperDirectory) {
  const Outcome o = Run(Shell("echo hello > /etc/greeting"));
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(ReadFile(upper() + "/etc/greeting"), "hello\n");
  EXPECT_EQ(access((layer() + "/etc/greeting").c_str(), F_OK), -1);
}

TEST_F(ContainerTest, StandardInputReachesIt) {
  int in[2];
  ASSERT_EQ(pipe2(in, O_CLOEXEC), 0);
  ASSERT_EQ(write(in[1], "abc", 3), 3);
  close(in[1]);
  LaunchFds fds;
  fds.stdin_fd = in[0];
  const Outcome o = Run(Container({"cat"}), fds);
  close(in[0]);
  EXPECT_EQ(o.out, "abc");
}

TEST_F(ContainerTest, MissingProgramSaysStepNameAndErrno) {
  const Outcome o = Run(Container({"/nope"}));
  EXPECT_FALSE(o.started);
  EXPECT_EQ(o.step, "exec");
  EXPECT_STREQ(o.failure.object, "/nope");
  EXPECT_EQ(o.failure.error, ENOENT);
}

TEST_F(ContainerTest, ProgramIsSearchedInPathOfItsEnvironment) {
  LaunchSpec spec = Container({"echo", "found"});
  spec.env = {"PATH=/nowhere:/etc:/bin"};
  EXPECT_EQ(Run(spec).out, "found\n");
  spec = Container({"echo", "found"});
  spec.env = {"PATH=/nowhere"};
  const Outcome o = Run(spec);
  EXPECT_EQ(o.failure.error, ENOENT);
  EXPECT_STREQ(o.failure.object, "echo");
}

TEST_F(ContainerTest, FileWithoutExecutePermissionIsEacces) {
  WriteFile(layer() + "/etc/data", "x");
  EXPECT_EQ(Run(Container({"/etc/data"})).failure.error, EACCES);
  LaunchSpec spec = Container({"data"});
  spec.env = {"PATH=/etc:/bin"};
  EXPECT_EQ(Run(spec).failure.error, EACCES);
}

TEST_F(ContainerTest, MissingLayerFailsInTheRootfsStep) {
  LaunchSpec spec = Container({"true"});
  spec.rootfs.lowers = {"layers/99"};
  const Outcome o = Run(spec);
  EXPECT_EQ(o.step, "mount rootfs");
  EXPECT_EQ(o.failure.error, ENOENT);
}

TEST_F(ContainerTest, LayersLieUponEachOtherTopmostFirst) {
  ASSERT_EQ(mkdir((dir() + "/layers/2").c_str(), 0755), 0);
  ASSERT_EQ(mkdir((dir() + "/layers/2/etc").c_str(), 0755), 0);
  WriteFile(layer() + "/etc/who", "lower");
  WriteFile(dir() + "/layers/2/etc/who", "top");
  LaunchSpec spec = Container({"cat", "/etc/who"});
  spec.rootfs.lowers = {"layers/2", "layers/1"};
  EXPECT_EQ(Run(spec).out, "top");
}

TEST_F(ContainerTest, LayerNamesBeyondOnePageAreMountedOneByOne) {
  const std::string longer(200, 'x');
  LaunchSpec spec = Container({"cat", "/l0", "/l24"});
  spec.rootfs.lowers.clear();
  for (int i = 0; i < 25; ++i) {
    const std::string name = "layers/" + longer + std::to_string(i);
    ASSERT_EQ(mkdir((dir() + "/" + name).c_str(), 0755), 0);
    WriteFile(dir() + "/" + name + "/l" + std::to_string(i),
              std::to_string(i) + ";");
    spec.rootfs.lowers.push_back(name);
  }
  spec.rootfs.lowers.push_back("layers/1");
  struct utsname name = {};
  ASSERT_EQ(uname(&name), 0);
  int major = 0, minor = 0;
  ASSERT_EQ(std::sscanf(name.release, "%d.%d", &major, &minor), 2);
  const Outcome o = Run(spec);
  if (major > 6 || (major == 6 && minor >= 5)) {
    EXPECT_EQ(o.out, "0;24;");
  } else {
    EXPECT_EQ(o.step, "mount rootfs");
    EXPECT_EQ(o.failure.error, E2BIG);
  }
}

TEST_F(ContainerTest, VolatileRootIsMountedOnce) {
  LaunchSpec spec = Shell("grep ' / overlay' /proc/mounts; echo x > /etc/y");
  spec.rootfs.is_volatile = true;
  const Outcome o = Run(spec);
  EXPECT_THAT(o.out, HasSubstr("volatile"));
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(Run(spec).step, "mount rootfs");
}

TEST_F(ContainerTest, RedirectInAForeignLayerIsNotFollowed) {
  for (const char* name : {"/secret", "/shown"}) {
    ASSERT_EQ(mkdir((layer() + name).c_str(), 0755), 0);
  }
  WriteFile(layer() + "/secret/file", "found\n");
  ASSERT_EQ(mkdir((dir() + "/layers/2").c_str(), 0755), 0);
  const std::string shown = dir() + "/layers/2/shown";
  ASSERT_EQ(mkdir(shown.c_str(), 0755), 0);
  ASSERT_EQ(
      setxattr(shown.c_str(), "trusted.overlay.redirect", "/secret", 7, 0), 0);
  LaunchSpec spec = Shell("cat /shown/file");
  spec.rootfs.lowers = {"layers/2", "layers/1"};
  const Outcome o = Run(spec);
  ASSERT_TRUE(o.started);
  EXPECT_THAT(o.out, Not(HasSubstr("found")));
}

TEST_F(ContainerTest, RootWithoutUpperIsReadOnly) {
  LaunchSpec spec = Shell("echo x > /etc/new; ls /etc");
  spec.rootfs.upper.clear();
  spec.rootfs.work.clear();
  for (const char* name : {"/proc", "/sys", "/dev"}) {
    ASSERT_EQ(mkdir((layer() + name).c_str(), 0755), 0);
  }
  Outcome o = Run(spec);
  EXPECT_THAT(o.err, HasSubstr("Read-only file system"));
  ASSERT_EQ(mkdir((dir() + "/layers/2").c_str(), 0755), 0);
  spec.rootfs.lowers = {"layers/2", "layers/1"};
  o = Run(spec);
  EXPECT_THAT(o.err, HasSubstr("Read-only file system"));
}

TEST_F(ContainerTest, ReadonlyRootfsRefusesWritesButNotInMounts) {
  LaunchSpec spec = Shell("touch /etc/x; touch /dev/shm/x && echo shm");
  spec.rootfs.readonly = true;
  const Outcome o = Run(spec);
  EXPECT_THAT(o.err, HasSubstr("/etc/x: Read-only file system"));
  EXPECT_EQ(o.out, "shm\n");
}

TEST_F(ContainerTest, OnlyStandardDescriptorsAreOpen) {
  // One that is not close-on-exec, as a library might leave it.
  const int leak = open("/", O_RDONLY);
  ASSERT_GE(leak, 0);
  const Outcome o = Run(Shell("ls /proc/self/fd"));
  close(leak);
  // The fourth is ls's own, of the directory.
  EXPECT_EQ(o.out, "0\n1\n2\n3\n");
}

TEST_F(ContainerTest, StreamsNobodyGaveAreTheContainersOwnNullDevice) {
  LaunchSpec spec = Shell(
      "stat -Lc %t:%T:%d:%i /proc/self/fd/0; stat -c %t:%T:%d:%i "
      "/dev/null");
  LaunchFds fds;
  fds.stdin_fd = kNoStream;
  const Outcome o = Run(spec, fds);
  const size_t half = o.out.size() / 2;
  ASSERT_THAT(o.out, HasSubstr("1:3:"));
  EXPECT_EQ(o.out.substr(0, half), o.out.substr(half));
}

TEST_F(ContainerTest, WorkingDirectoryIsMadeAndEntered) {
  LaunchSpec spec = Container({"pwd"});
  spec.working_dir = "/srv/deep/er";
  EXPECT_EQ(Run(spec).out, "/srv/deep/er\n");
}

TEST_F(ContainerTest, WorkingDirectoryOfALeakedDescriptorIsRefused) {
  LaunchSpec spec = Container({"pwd"});
  for (int fd = 3; fd < 12; ++fd) {
    spec.working_dir = "/proc/self/fd/" + std::to_string(fd);
    const Outcome o = Run(spec);
    EXPECT_FALSE(o.started);
    EXPECT_EQ(o.step, "enter working directory");
  }
}

TEST_F(ContainerTest, HasNamespacesOfItsOwn) {
  const Outcome o = Run(
      Shell("for n in mnt pid cgroup net; do readlink /proc/self/ns/$n; done"));
  std::string own;
  for (const char* n : {"mnt", "pid", "cgroup", "net"}) {
    char link[64] = {};
    const std::string path = std::string("/proc/self/ns/") + n;
    ASSERT_GT(readlink(path.c_str(), link, sizeof(link) - 1), 0);
    if (std::string(n) == "net") {
      EXPECT_THAT(o.out, HasSubstr(link));
    } else {
      EXPECT_THAT(o.out, Not(HasSubstr(link)));
    }
  }
}

TEST_F(ContainerTest, HostPidNamespaceWhereAsked) {
  LaunchSpec spec = Shell("readlink /proc/self/ns/pid");
  spec.pid_namespace = PidNamespace::kHost;
  char link[64] = {};
  ASSERT_GT(readlink("/proc/self/ns/pid", link, sizeof(link) - 1), 0);
  EXPECT_EQ(Run(spec).out, std::string(link) + "\n");
}

TEST_F(ContainerTest, MalformedPlanIsRefused) {
  Launched launched;
  Failure failure;
  const std::string junk(4096, 'x');
  EXPECT_EQ(launch::Launch(junk.data(), junk.size(), {}, &launched, &failure),
            -1);
  EXPECT_STREQ(StepName(failure.step), "read plan");
  EXPECT_EQ(failure.error, EBADMSG);
}

TEST_F(ContainerTest, SignalDispositionsAndMaskAreReset) {
  const auto old = signal(SIGPIPE, SIG_IGN);
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  const Outcome o = Run(Container({"grep", "Sig[BI]", "/proc/self/status"}));
  sigprocmask(SIG_SETMASK, &before, nullptr);
  signal(SIGPIPE, old);
  EXPECT_EQ(o.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_F(ContainerTest, AffinityOfTheParentIsNotInherited) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  if (CPU_COUNT(&before) < 2) GTEST_SKIP() << "one CPU";
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  const Outcome o = Run(Container({"nproc"}));
  sched_setaffinity(0, sizeof(before), &before);
  EXPECT_EQ(o.out, std::to_string(CPU_COUNT(&before)) + "\n");
}

TEST_F(ContainerTest, OomScoreIsSetAndLoweringWithoutPrivilegeTolerated) {
  LaunchSpec spec = Container({"cat", "/proc/self/oom_score_adj"});
  spec.set_oom_score_adj = true;
  spec.oom_score_adj = 321;
  EXPECT_EQ(Run(spec).out, "321\n");
  spec = Container({"true"});
  spec.set_oom_score_adj = true;
  spec.oom_score_adj = -999;
  EXPECT_TRUE(Run(spec).started);
}

}  // namespace
}  // namespace pinion::launch
