#include "runtime/plan/seccomp.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "runtime/plan/seccomp_default.h"
#include "runtime/plan/seccomp_json.h"
#include "runtime/plan/seccomp_profile.h"
#include "tests/unit/runtime/plan/bpf_interpreter.h"

namespace pinion::plan {
namespace {

using testing::HasSubstr;

constexpr uint64_t kDefaultCaps = 0xa80425fb;
constexpr uint64_t kSysAdmin = uint64_t{1} << CAP_SYS_ADMIN;

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;

class SeccompTest : public testing::Test {
 protected:
  void SetUp() override {
    if (seccomp_arch_native() != SCMP_ARCH_X86_64) {
      GTEST_SKIP() << "the numbers here are x86-64's";
    }
    program_ = compiler_.RuntimeDefault(kDefaultCaps).value();
  }

  uint32_t Default(const seccomp_data& data) { return Decide(program_, data); }

  std::string FromJson(const std::string& json, uint64_t caps = kDefaultCaps) {
    const auto profile = ParseSeccompJson(json, caps, "6.1.0-18-amd64");
    EXPECT_TRUE(profile.ok()) << profile.status().message();
    return profile.ok() ? CompileSeccomp(*profile).value() : std::string();
  }

  SeccompCompiler compiler_;
  std::string program_;
};

using RuntimeDefaultTest = SeccompTest;
using LocalhostTest = SeccompTest;

TEST_F(RuntimeDefaultTest, EverydayCallsPass) {
  for (const int number :
       {SYS_read, SYS_openat, SYS_execve, SYS_exit_group, SYS_mmap, SYS_futex,
        SYS_fork, SYS_epoll_wait, SYS_ptrace, SYS_statx, SYS_rseq,
        SYS_landlock_create_ruleset, SYS_faccessat2, SYS_memfd_create}) {
    EXPECT_EQ(Default(Call(number)), kAllow) << number;
  }
}

TEST_F(RuntimeDefaultTest, WhatReachesTheHostIsRefused) {
  for (const int number : {SYS_mount,          SYS_umount2,
                           SYS_pivot_root,     SYS_setns,
                           SYS_unshare,        SYS_bpf,
                           SYS_kexec_load,     SYS_init_module,
                           SYS_reboot,         SYS_swapon,
                           SYS_iopl,           SYS_keyctl,
                           SYS_add_key,        SYS_userfaultfd,
                           SYS_io_uring_setup, SYS_perf_event_open,
                           SYS_settimeofday,   SYS_open_by_handle_at,
                           SYS_acct,           SYS_open_tree,
                           SYS_fsopen}) {
    EXPECT_EQ(Default(Call(number)), kEperm) << number;
  }
}

TEST_F(RuntimeDefaultTest, CloneMakesThreadsButNoNamespaces) {
  EXPECT_EQ(Default(Call(SYS_clone, SIGCHLD)), kAllow);
  EXPECT_EQ(Default(Call(SYS_clone, CLONE_VM | CLONE_THREAD)), kAllow);
  for (const uint64_t flag :
       {CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC,
        CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    EXPECT_EQ(Default(Call(SYS_clone, flag | SIGCHLD)), kEperm) << flag;
  }
  EXPECT_EQ(Default(Call(SYS_clone3)), kEnosys);
}

TEST_F(RuntimeDefaultTest, CapabilitiesBringTheirCallsBack) {
  const std::string admin =
      compiler_.RuntimeDefault(kDefaultCaps | kSysAdmin).value();
  EXPECT_EQ(Decide(admin, Call(SYS_mount)), kAllow);
  EXPECT_EQ(Decide(admin, Call(SYS_clone3)), kAllow);
  EXPECT_EQ(Decide(admin, Call(SYS_clone, CLONE_NEWUSER)), kAllow);
  EXPECT_EQ(Decide(admin, Call(SYS_kexec_load)), kEperm);
  EXPECT_EQ(Default(Call(SYS_chroot)), kAllow);  // SYS_CHROOT is a default
  EXPECT_EQ(Decide(compiler_.RuntimeDefault(0).value(), Call(SYS_chroot)),
            kEperm);
}

TEST_F(RuntimeDefaultTest, SocketsOfEveryFamilyButVsock) {
  for (uint64_t family = 0; family < AF_MAX; ++family) {
    const uint32_t expected = family == AF_VSOCK ? kEperm : kAllow;
    EXPECT_EQ(Default(Call(SYS_socket, family)), expected) << family;
    // The kernel takes an int: the upper half is no way around.
    EXPECT_EQ(Default(Call(SYS_socket, family | uint64_t{1} << 32)), expected);
  }
}

TEST_F(RuntimeDefaultTest, PersonalityOnlyAsKnown) {
  EXPECT_EQ(Default(Call(SYS_personality, 0)), kAllow);
  EXPECT_EQ(Default(Call(SYS_personality, 8)), kAllow);
  EXPECT_EQ(Default(Call(SYS_personality, 0xffffffff)), kAllow);
  // READ_IMPLIES_EXEC, ADDR_NO_RANDOMIZE
  EXPECT_EQ(Default(Call(SYS_personality, 0x400000)), kEperm);
  EXPECT_EQ(Default(Call(SYS_personality, 0x40000)), kEperm);
}

TEST_F(RuntimeDefaultTest, YoungerCallsAreAllowedAndUnknownOnesEnosys) {
  constexpr int kMseal = 462;
  constexpr int kOpenTreeAttr = 467;
  EXPECT_EQ(Default(Call(kMseal)), kAllow);
  EXPECT_EQ(Default(Call(kOpenTreeAttr)), kEperm);
  EXPECT_EQ(Default(Call(470)), kEnosys);
  EXPECT_EQ(Default(Call(100000)), kEnosys);
  EXPECT_EQ(Default(Call(-1)), kEnosys);
}

TEST_F(RuntimeDefaultTest, OtherTablesOfNumbersAreNoWayAround) {
  // 32-bit: mount is 21, getpid is 20; x32 has bit 30 set.
  EXPECT_EQ(Default(Call(21, 0, 0, AUDIT_ARCH_I386)), kEperm);
  EXPECT_EQ(Default(Call(20, 0, 0, AUDIT_ARCH_I386)), kAllow);
  constexpr int kX32 = 0x40000000;
  EXPECT_EQ(Default(Call(kX32 | SYS_mount)), kEperm);
  EXPECT_EQ(Default(Call(kX32 | SYS_getpid)), kAllow);
  EXPECT_EQ(Default(Call(kX32 | 462)), kAllow);
  EXPECT_EQ(Default(Call(SYS_getpid, 0, 0, AUDIT_ARCH_AARCH64)),
            uint32_t{SECCOMP_RET_KILL_PROCESS});
  EXPECT_EQ(Default(Call(462, 0, 0, AUDIT_ARCH_AARCH64)),
            uint32_t{SECCOMP_RET_KILL_PROCESS});
}

TEST_F(RuntimeDefaultTest, EveryNameIsASyscallSomewhere) {
  for (const SeccompRule& rule : DefaultSeccompProfile(~uint64_t{0}).rules) {
    for (const std::string& name : rule.names) {
      const bool known =
          seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR;
      // Younger than libseccomp: the tests above cover them by number.
      EXPECT_TRUE(known || name == "statmount" || name == "listmount" ||
                  name == "mseal" || name.find("lsm_") == 0 ||
                  name.find("xattrat") != std::string::npos ||
                  name.find("file_") == 0 || name == "open_tree_attr")
          << name;
    }
  }
}

TEST_F(LocalhostTest, AllowListAndArguments) {
  const std::string program = FromJson(R"({
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_MADE_UP"],
    "syscalls": [
      {"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
      {"name": "write", "action": "SCMP_ACT_ALLOW",
       "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                {"index": 1, "value": 7, "op": "SCMP_CMP_NE"}]},
      {"names": ["socket"], "action": "SCMP_ACT_ALLOW",
       "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
      {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18},
      {"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"}]})");
  EXPECT_EQ(Decide(program, Call(SYS_read)), kAllow);
  EXPECT_EQ(Decide(program, Call(SYS_open)), kEnosys);
  EXPECT_EQ(Decide(program, Call(SYS_write, 1, 8)), kAllow);
  EXPECT_EQ(Decide(program, Call(SYS_write, 1, 7)), kEnosys);
  EXPECT_EQ(Decide(program, Call(SYS_write, 2, 8)), kEnosys);
  EXPECT_EQ(Decide(program, Call(SYS_socket, 1)), kAllow);
  EXPECT_EQ(Decide(program, Call(SYS_socket, 2)), kAllow);
  EXPECT_EQ(Decide(program, Call(SYS_socket, 3)), kEnosys);
  EXPECT_EQ(Decide(program, Call(SYS_mkdir)), SECCOMP_RET_ERRNO | 18u);
  EXPECT_EQ(Decide(program, Call(SYS_reboot)),
            uint32_t{SECCOMP_RET_KILL_PROCESS});
  EXPECT_EQ(Decide(program, Call(20, 0, 0, AUDIT_ARCH_I386)),
            uint32_t{SECCOMP_RET_KILL_PROCESS});
  // x32 was not listed either.
  EXPECT_EQ(Decide(program, Call(0x40000000 | SYS_read)),
            uint32_t{SECCOMP_RET_KILL_PROCESS});
}

TEST_F(LocalhostTest, ArchMapBringsTheOtherTables) {
  const std::string program = FromJson(R"({
    "defaultAction": "SCMP_ACT_ALLOW",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64",
                 "subArchitectures": ["SCMP_ARCH_X86"]},
                {"architecture": "SCMP_ARCH_AARCH64",
                 "subArchitectures": ["SCMP_ARCH_ARM"]}],
    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]})");
  EXPECT_EQ(Decide(program, Call(SYS_mkdir)), kEperm);
  EXPECT_EQ(Decide(program, Call(39, 0, 0, AUDIT_ARCH_I386)), kEperm);
  EXPECT_EQ(Decide(program, Call(1, 0, 0, AUDIT_ARCH_ARM)),
            uint32_t{SECCOMP_RET_KILL_PROCESS});
}

TEST_F(LocalhostTest, IncludesAndExcludes) {
  const std::string json = R"({
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [
      {"names": ["mount"], "action": "SCMP_ACT_ALLOW",
       "includes": {"caps": ["CAP_SYS_ADMIN"]}},
      {"names": ["open"], "action": "SCMP_ACT_ALLOW",
       "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
      {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW",
       "includes": {"minKernel": "4.8"}},
      {"names": ["kcmp"], "action": "SCMP_ACT_ALLOW",
       "includes": {"minKernel": "99.0"}},
      {"names": ["read"], "action": "SCMP_ACT_ALLOW",
       "includes": {"arches": ["amd64", "x32"]}},
      {"names": ["write"], "action": "SCMP_ACT_ALLOW",
       "excludes": {"arches": ["amd64"]}}]})";
  std::string program = FromJson(json);
  EXPECT_EQ(Decide(program, Call(SYS_mount)), kEperm);
  EXPECT_EQ(Decide(program, Call(SYS_open)), kAllow);
  EXPECT_EQ(Decide(program, Call(SYS_ptrace)), kAllow);
  EXPECT_EQ(Decide(program, Call(SYS_kcmp)), kEperm);
  EXPECT_EQ(Decide(program, Call(SYS_read)), kAllow);
  EXPECT_EQ(Decide(program, Call(SYS_write)), kEperm);
  program = FromJson(json, kDefaultCaps | kSysAdmin);
  EXPECT_EQ(Decide(program, Call(SYS_mount)), kAllow);
  EXPECT_EQ(Decide(program, Call(SYS_open)), kEperm);
}

TEST_F(LocalhostTest, AllowByDefaultKeepsYoungCallsAllowed) {
  const std::string program = FromJson(R"({
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mseal"], "action": "SCMP_ACT_ERRNO"}]})");
  EXPECT_EQ(Decide(program, Call(462)), kEperm);
  EXPECT_EQ(Decide(program, Call(463)), kAllow);
}

TEST_F(LocalhostTest, MalformedProfilesAreRefusedWithAReason) {
  const std::pair<const char*, const char*> bad[] = {
      {"", "object"},
      {"[]", "object"},
      {"{", "object"},
      {"{}", "action"},
      {R"({"defaultAction": 3})", "defaultAction"},
      {R"({"defaultAction": "SCMP_ACT_NOTIFY"})", "NOTIFY"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000})",
       "5000"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}})", "list"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{}]})", "names"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW",
           "syscalls": [{"names": ["read"], "action": "X"}]})",
       "\"X\""},
      {R"({"defaultAction": "SCMP_ACT_ALLOW",
           "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
                         "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}]})",
       "index"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW",
           "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
                         "args": [{"index": 0, "op": "EQ"}]}]})",
       "operator"},
  };
  for (const auto& [json, reason] : bad) {
    const absl::Status status = ParseSeccompJson(json, 0, "6.1").status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << json;
    EXPECT_THAT(status.message(), HasSubstr(reason)) << json;
  }
}

TEST_F(LocalhostTest, FlagsAreTheKernels) {
  const auto flags = [](const std::string& list) {
    return ParseSeccompJson(
        R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": [)" + list + "]}", 0,
        "6.1");
  };
  EXPECT_EQ(flags("")->flags, 0U);
  EXPECT_EQ(flags(R"("SECCOMP_FILTER_FLAG_LOG")")->flags,
            uint32_t{SECCOMP_FILTER_FLAG_LOG});
  EXPECT_EQ(
      flags(R"("SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                     "SECCOMP_FILTER_FLAG_TSYNC",
                     "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")")
          ->flags,
      uint32_t{SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_TSYNC});
  EXPECT_THAT(std::string(flags(R"("LOG")").status().message()),
              HasSubstr("unknown flag \"LOG\""));
}

TEST_F(LocalhostTest, NotifyIsRefusedOnlyWhereItApplies) {
  const std::string entry = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
      [{"names": ["read"], "action": "SCMP_ACT_NOTIFY")";
  const absl::Status status =
      ParseSeccompJson(entry + "}]}", 0, "6.1").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("nobody"));
  EXPECT_TRUE(ParseSeccompJson(
                  entry + R"(, "includes": {"minKernel": "99.1"}}]})", 0, "6.1")
                  .ok());
}

TEST_F(LocalhostTest, AProgramThatIsTooLongIsRefused) {
  std::string json = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [)";
  for (uint64_t i = 0; i < 2000; ++i) {
    json += std::string(i == 0 ? "" : ",") +
            R"({"names": ["readahead"], "action": "SCMP_ACT_ERRNO", "args":
            [{"index": 1, "op": "SCMP_CMP_EQ", "value": )" +
            std::to_string(uint64_t{0x100000007} * i) + "}]}";
  }
  const auto profile = ParseSeccompJson(json + "]}", 0, "6.1");
  ASSERT_TRUE(profile.ok()) << profile.status();
  const absl::Status status = CompileSeccomp(*profile).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("longer than"));
}

TEST_F(LocalhostTest, FileIsReadAnewAndItsErrorsNameIt) {
  const std::string path = "/tmp/pn-seccomp-" + std::to_string(getpid());
  std::ofstream(path) << R"({"defaultAction": "SCMP_ACT_ALLOW"})";
  EXPECT_EQ(
      Decide(compiler_.Localhost(path, 0).value().program, Call(SYS_mount)),
      kAllow);
  std::ofstream(path) << R"({"defaultAction": "SCMP_ACT_ERRNO"})";
  EXPECT_EQ(
      Decide(compiler_.Localhost(path, 0).value().program, Call(SYS_mount)),
      kEperm);
  std::ofstream(path) << "{";
  EXPECT_THAT(compiler_.Localhost(path, 0).status().message(), HasSubstr(path));
  ASSERT_EQ(unlink(path.c_str()), 0);
  EXPECT_TRUE(absl::IsNotFound(compiler_.Localhost(path, 0).status()));
  // Neither is waited for.
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(compiler_.Localhost(path, 0).status()));
  ASSERT_EQ(unlink(path.c_str()), 0);
  EXPECT_THAT(
      std::string(compiler_.Localhost("/dev/zero", 0).status().message()),
      HasSubstr("/dev/zero: not a regular file"));
}

}  // namespace
}  // namespace pinion::plan
