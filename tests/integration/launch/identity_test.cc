// Users, capabilities, no_new_privs, seccomp, limits, terminals.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "tests/integration/launch/launch_bed.h"

namespace pinion::launch {
namespace {

using testing::HasSubstr;

using IdentityTest = LaunchTest;

constexpr uint64_t kNetBindService = 1u << 10;

const char kCapLines[] = "grep -E '^(Cap|NoNew)' /proc/self/status";

TEST_F(IdentityTest, UserGroupAndSupplementaryGroups) {
  LaunchSpec spec = Shell(
      "id -u; id -g; id -G; umask; touch /tmp/f; "
      "stat -c '%u:%g' /tmp/f");
  spec.uid = 1234;
  spec.gid = 5678;
  spec.groups = {5678, 7, 9};
  spec.umask = 027;
  const Outcome o = Run(spec);
  EXPECT_EQ(o.out, "1234\n5678\n5678 7 9\n0027\n1234:5678\n") << o.err;
}

TEST_F(IdentityTest, GroupsOfTheParentAreNotInherited) {
  LaunchSpec spec = Container({"grep", "Groups", "/proc/self/status"});
  EXPECT_EQ(Run(spec).out, "Groups:\t \n");
}

TEST_F(IdentityTest, RootKeepsTheBoundingSetAndNothingInheritable) {
  const Outcome o = Run(Shell(kCapLines));
  EXPECT_EQ(o.out,
            "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n"
            "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
            "CapAmb:\t0000000000000000\nNoNewPrivs:\t0\n");
}

TEST_F(IdentityTest, OrdinaryUserHasNoCapabilitiesButTheBoundingSet) {
  LaunchSpec spec = Shell(kCapLines);
  spec.uid = spec.gid = 1000;
  spec.no_new_privs = true;
  const Outcome o = Run(spec);
  EXPECT_EQ(o.out,
            "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
            "CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n"
            "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n");
}

TEST_F(IdentityTest, AmbientCapabilitiesReachAnOrdinaryUser) {
  LaunchSpec spec = Shell(kCapLines);
  spec.uid = spec.gid = 1000;
  spec.capabilities.ambient = kNetBindService;
  const Outcome o = Run(spec);
  EXPECT_THAT(o.out, HasSubstr("CapInh:\t0000000000000400\n"));
  EXPECT_THAT(o.out, HasSubstr("CapEff:\t0000000000000400\n"));
  EXPECT_THAT(o.out, HasSubstr("CapAmb:\t0000000000000400\n"));
}

TEST_F(IdentityTest, CapabilityThatTheHostLacksIsAnError) {
  LaunchSpec spec = Container({"true"});
  spec.capabilities.permitted |= uint64_t{1} << 62;
  spec.capabilities.effective |= uint64_t{1} << 62;
  spec.capabilities.ambient |= uint64_t{1} << 62;
  const Outcome o = Run(spec);
  EXPECT_EQ(o.step, "set capabilities");
}

TEST_F(IdentityTest, PipesBecomeTheUsersSoThatItCanOpenThem) {
  LaunchSpec spec = Shell("echo again > /dev/stderr");
  spec.uid = 1000;
  const Outcome o = Run(spec);
  EXPECT_EQ(o.err, "again\n");
}

TEST_F(IdentityTest, WorkingDirectoryOpenToTheUserAlone) {
  ASSERT_EQ(mkdir((layer() + "/home").c_str(), 0700), 0);
  ASSERT_EQ(chown((layer() + "/home").c_str(), 1000, 1000), 0);
  LaunchSpec spec = Container({"pwd"});
  spec.uid = spec.gid = 1000;
  spec.working_dir = "/home";
  EXPECT_EQ(Run(spec).out, "/home\n");
}

TEST_F(IdentityTest, ResourceLimitsAreSet) {
  LaunchSpec spec = Shell("ulimit -n; ulimit -Hn; ulimit -c");
  spec.rlimits = {{RLIMIT_NOFILE, 100, 200}, {RLIMIT_CORE, 0, 0}};
  EXPECT_EQ(Run(spec).out, "100\n200\n0\n");
}

TEST_F(IdentityTest, BadResourceLimitIsAnError) {
  LaunchSpec spec = Container({"true"});
  spec.rlimits = {{RLIMIT_NOFILE, 300, 200}};
  const Outcome o = Run(spec);
  EXPECT_EQ(o.step, "set resource limit");
  EXPECT_EQ(o.failure.error, EINVAL);
}

// mkdir(2) and mkdirat(2) fail with EXDEV, everything else is allowed.
std::string RefuseMkdir() {
  const sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdirat, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return std::string(reinterpret_cast<const char*>(program), sizeof(program));
}

TEST_F(IdentityTest, SeccompFilterIsInForceWithAndWithoutNoNewPrivs) {
  for (const bool no_new_privs : {false, true}) {
    for (const uid_t uid : {0u, 1000u}) {
      LaunchSpec spec = Shell("grep Seccomp: /proc/self/status; mkdir /tmp/d");
      spec.seccomp_program = RefuseMkdir();
      spec.no_new_privs = no_new_privs;
      spec.uid = spec.gid = uid;
      const Outcome o = Run(spec);
      EXPECT_EQ(o.out, "Seccomp:\t2\n");
      EXPECT_THAT(o.err, HasSubstr("Invalid cross-device link"));
    }
  }
}

TEST_F(IdentityTest, InvalidSeccompProgramIsAnError) {
  LaunchSpec spec = Container({"true"});
  spec.seccomp_program = std::string(8, '\0');  // no return at its end
  EXPECT_EQ(Run(spec).step, "load seccomp filter");
}

int ReceiveTerminal(int socket) {
  char byte;
  struct iovec iov = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 1) return -1;
  int fd;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
  return fd;
}

std::string ReadTerminal(int fd) {
  std::string text;
  char buffer[512];
  ssize_t n;
  // EIO: the other side was closed.
  while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

TEST_F(IdentityTest, TerminalIsTheControllingOneAndTheConsole) {
  LaunchSpec spec = Shell(
      "tty; stat -c %u /dev/pts/0; echo console > /dev/console; "
      "echo tty > /dev/tty; stty size");
  spec.terminal = true;
  spec.uid = 1000;
  Process process = Start(spec);
  os::UniqueFd terminal(ReceiveTerminal(process.console_socket()));
  ASSERT_TRUE(terminal.valid());
  struct winsize size = {33, 99, 0, 0};
  ASSERT_EQ(ioctl(terminal.get(), TIOCSWINSZ, &size), 0);
  const std::string text = ReadTerminal(terminal.get());
  EXPECT_TRUE(process.Finish().started);
  EXPECT_THAT(text, HasSubstr("/dev/pts/0\r\n1000\r\nconsole\r\ntty\r\n"));
}

TEST_F(IdentityTest, ProcessLeadsASessionOfItsOwn) {
  LaunchSpec spec = Shell("cut -d' ' -f1,5,6 /proc/self/stat; :");
  const Outcome o = Run(spec);
  // sh is 1 and leads; cut is its child.
  EXPECT_THAT(o.out, HasSubstr(" 1 1\n"));
}

}  // namespace
}  // namespace pinion::launch
