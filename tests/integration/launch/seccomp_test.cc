// Real programs of this machine under the RuntimeDefault filter, and Localhost
// profiles as the kernel carries them out.

#include "runtime/plan/seccomp.h"

#include <gmock/gmock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>

#include "os/file.h"
#include "tests/integration/launch/launch_bed.h"

namespace pinion::launch {
namespace {

using testing::HasSubstr;

class SeccompTest : public LaunchTest {
 protected:
  // A container with the machine's /usr, and the filter.
  LaunchSpec Debian(const std::vector<std::string>& argv) {
    const std::string layer = dir() + "/layers/debian";
    EXPECT_TRUE(os::MakeDirs(layer + "/usr", 0755).ok());
    EXPECT_TRUE(os::MakeDirs(layer + "/tmp", 01777).ok());
    for (const char* name : {"bin", "sbin", "lib", "lib64"}) {
      const std::string target = std::string("usr/") + name;
      symlink(target.c_str(), (layer + "/" + name).c_str());
    }
    LaunchSpec spec = Container(argv);
    spec.rootfs.lowers = {"layers/debian"};
    spec.env = {"PATH=/usr/bin:/usr/sbin"};
    BindMount usr;
    usr.source = usr.target = "/usr";
    usr.readonly = true;
    spec.mounts.push_back(usr);
    spec.seccomp_program =
        compiler_.RuntimeDefault(spec.capabilities.bounding).value();
    return spec;
  }

  plan::SeccompCompiler compiler_;
};

TEST_F(SeccompTest, PythonWithThreadsProcessesAndSockets) {
  for (const bool no_new_privs : {false, true}) {
    LaunchSpec spec = Debian({"python3", "-c", R"(
import asyncio, mmap, multiprocessing, os, select, socket, subprocess
import tempfile, threading, time
threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert subprocess.check_output(["sh", "-c", "echo out"]) == b"out\n"
p = multiprocessing.Process(target=os.getpid); p.start(); p.join()
assert p.exitcode == 0
a, b = socket.socketpair(); a.send(b"x"); assert b.recv(1) == b"x"
s = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(s.getsockname()); s.accept()
m = mmap.mmap(-1, 4096); m[0] = 1
with tempfile.TemporaryDirectory() as d: open(d + "/f", "w").write("x")
async def wait(): await asyncio.sleep(0)
asyncio.run(wait())
os.sched_setaffinity(0, os.sched_getaffinity(0))
print("all fine")
)"});
    spec.no_new_privs = no_new_privs;
    const Outcome o = Run(spec);
    EXPECT_EQ(o.out, "all fine\n") << o.err;
    EXPECT_EQ(o.exit_code, 0);
  }
}

TEST_F(SeccompTest, PingAndTheShell) {
  const Outcome o = Run(Debian(
      {"bash", "-c",
       "ping -c1 -W60 127.0.0.1 && (sleep 0.01 & wait) && find /dev | sort | "
       "tar -cf /tmp/x.tar -T - && ls -l /tmp/x.tar && dd if=/dev/zero "
       "of=/tmp/z bs=4k count=4 status=none && stat -c %s /tmp/z"}));
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("1 received"));
  EXPECT_THAT(o.out, HasSubstr("16384"));
}

class LocalhostTest : public SeccompTest {
 protected:
  // Calls readahead(2), which nothing else here does: c(first, second, third)
  // is its errno. There is no such file, so without a filter it is EBADF (9).
  Outcome Python(const std::string& profile, const std::string& script) {
    const std::string path = dir() + "/profile.json";
    std::ofstream(path) << profile;
    LaunchSpec spec = Debian({"python3", "-c",
                              "import ctypes, os, signal, sys, threading\n"
                              "libc = ctypes.CDLL(None, use_errno=True)\n"
                              "def c(*a):\n"
                              "  ctypes.set_errno(0)\n"
                              "  libc.syscall(" +
                                  std::to_string(SYS_readahead) +
                                  ", *[ctypes.c_ulong(x) for x in a])\n"
                                  "  return ctypes.get_errno()\n" +
                                  script});
    const auto filter = compiler_.Localhost(path, spec.capabilities.bounding);
    EXPECT_TRUE(filter.ok()) << filter.status();
    if (!filter.ok()) return {};
    spec.seccomp_program = filter->program;
    spec.seccomp_flags = filter->flags;
    return Run(spec);
  }

  // Everything is allowed but for these entries.
  static std::string Profile(const std::string& entries,
                             const std::string& more = "") {
    return R"({"defaultAction": "SCMP_ACT_ALLOW", )" + more +
           R"("syscalls": [)" + entries + "]}";
  }
  static std::string Readahead(const std::string& action,
                               const std::string& more = "") {
    return R"({"names": ["readahead"], "action": ")" + action + "\"" + more +
           "}";
  }
};

TEST_F(LocalhostTest, OperatorsCompareAllOfTheBits) {
  struct Operator {
    const char* name;
    std::function<bool(uint64_t)> holds;
  };
  const Operator operators[] = {
      {"NE", [](uint64_t x) { return x != 5; }},
      {"LT", [](uint64_t x) { return x < 5; }},
      {"LE", [](uint64_t x) { return x <= 5; }},
      {"EQ", [](uint64_t x) { return x == 5; }},
      {"GE", [](uint64_t x) { return x >= 5; }},
      {"GT", [](uint64_t x) { return x > 5; }},
      {"MASKED_EQ", [](uint64_t x) { return (x & 5) == 4; }},
  };
  const uint64_t values[] = {
      0, 4, 5, 6, 7, 1ull << 32, (1ull << 32) + 5, (1ull << 63) + 4};
  std::string entries;
  std::string script;
  std::string expected;
  int first = 1000000;  // tells the operators apart
  for (const Operator& op : operators) {
    if (!entries.empty()) entries += ",";
    entries += Readahead(
        "SCMP_ACT_ERRNO",
        R"(, "errnoRet": 77, "args": [{"index": 0, "op": "SCMP_CMP_EQ",
            "value": )" +
            std::to_string(first) +
            R"(}, {"index": 1, "value": 5, "valueTwo": 4, "op": "SCMP_CMP_)" +
            op.name + "\"}]");
    for (const uint64_t value : values) {
      script += "print('" + std::string(op.name) + " " + std::to_string(value) +
                "', c(" + std::to_string(first) + ", " + std::to_string(value) +
                "))\n";
      expected += std::string(op.name) + " " + std::to_string(value) +
                  (op.holds(value) ? " 77\n" : " 9\n");
    }
    ++first;
  }
  const Outcome o = Python(Profile(entries), script);
  EXPECT_EQ(o.out, expected) << o.err;
}

TEST_F(LocalhostTest, ActionsAreTheKernels) {
  struct Case {
    const char* action;
    const char* more;
    const char* out;
    int exit_code;
  };
  const Case cases[] = {
      {"SCMP_ACT_ERRNO", "", "1\n", 0},
      {"SCMP_ACT_ERRNO", R"(, "errnoRet": 38)", "38\n", 0},
      {"SCMP_ACT_LOG", "", "9\n", 0},
      // Nobody traces it: ENOSYS (seccomp(2)).
      {"SCMP_ACT_TRACE", "", "38\n", 0},
      {"SCMP_ACT_KILL_PROCESS", "", "", 128 + SIGSYS},
      {"SCMP_ACT_KILL", "", "", 128 + SIGSYS},
      {"SCMP_ACT_KILL_THREAD", "", "", 128 + SIGSYS},
      {"SCMP_ACT_TRAP", "", "", 128 + SIGSYS},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.action) + c.more);
    const Outcome o =
        Python(Profile(Readahead(c.action, c.more)), "print(c(1000000, 0))");
    EXPECT_EQ(o.out, c.out) << o.err;
    EXPECT_EQ(o.exit_code, c.exit_code);
  }
}

TEST_F(LocalhostTest, TrapCanBeHandledAndKillThreadSparesTheOthers) {
  Outcome o = Python(Profile(Readahead("SCMP_ACT_TRAP")),
                     "signal.signal(signal.SIGSYS, lambda *a: print('trap'))\n"
                     "c(1000000, 0)\nprint('on')");
  EXPECT_EQ(o.out, "trap\non\n") << o.err;
  const std::string threads =
      "threading.Thread(target=c, args=(1000000, 0), daemon=True).start()\n"
      "while len(os.listdir('/proc/self/task')) > 1: os.sched_yield()\n"
      "print('on', flush=True)\nos._exit(3)";
  o = Python(Profile(Readahead("SCMP_ACT_KILL_THREAD")), threads);
  EXPECT_EQ(o.out, "on\n") << o.err;
  EXPECT_EQ(o.exit_code, 3);
  o = Python(Profile(Readahead("SCMP_ACT_KILL_PROCESS")), threads);
  EXPECT_EQ(o.exit_code, 128 + SIGSYS);
}

TEST_F(LocalhostTest, TheKernelTakesTheFlagsAndOnlyThose) {
  const std::string flags =
      R"("flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
         "SECCOMP_FILTER_FLAG_TSYNC",
         "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], )";
  const Outcome o = Python(Profile(Readahead("SCMP_ACT_ERRNO"), flags),
                           "print(c(1000000, 0))");
  EXPECT_EQ(o.out, "1\n") << o.err;
  // They do reach the kernel: it refuses one that it does not know.
  LaunchSpec spec = Debian({"true"});
  spec.seccomp_flags = 1u << 30;
  const Outcome refused = Run(spec);
  EXPECT_FALSE(refused.started);
  EXPECT_EQ(refused.step, "load seccomp filter");
  EXPECT_EQ(refused.failure.error, EINVAL);
}

TEST_F(LocalhostTest, ALongProfileWithDefaultErrnoWorks) {
  // All that there is on this machine is allowed, a third of it by its
  // arguments: as long as Docker's, and longer.
  std::string entries;
  for (int number = 0; number < 450; ++number) {
    char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    if (name == nullptr) continue;
    if (std::string(name) != "readahead") {
      if (!entries.empty()) entries += ",";
      entries += R"({"names": [")" + std::string(name) +
                 R"("], "action": "SCMP_ACT_ALLOW")";
      if (number % 3 == 0) {
        entries += R"(, "args": [{"index": 5, "op": "SCMP_CMP_NE",
                      "value": 12345678901234}])";
      }
      entries += "}";
    }
    free(name);
  }
  const Outcome o = Python(
      R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 99,
          "archMap": [{"architecture": "SCMP_ARCH_X86_64",
                       "subArchitectures": ["SCMP_ARCH_X86",
                                            "SCMP_ARCH_X32"]}],
          "syscalls": [)" +
          entries + "]}",
      "print(c(1000000, 0))");
  EXPECT_EQ(o.out, "99\n") << o.err;
}

TEST_F(SeccompTest, UserNamespaceIsRefusedAndSaysWhy) {
  const Outcome o = Run(Debian({"unshare", "-U", "true"}));
  EXPECT_NE(o.exit_code, 0);
  EXPECT_THAT(o.err, HasSubstr("Operation not permitted"));
}

}  // namespace
}  // namespace pinion::launch
