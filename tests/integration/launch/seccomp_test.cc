// Real programs of this machine under the RuntimeDefault filter.

#include "runtime/plan/seccomp.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

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
       "ping -c1 -W2 127.0.0.1 && (sleep 0.01 & wait) && find /dev | sort | "
       "tar -cf /tmp/x.tar -T - && ls -l /tmp/x.tar && dd if=/dev/zero "
       "of=/tmp/z bs=4k count=4 status=none && stat -c %s /tmp/z"}));
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("1 received"));
  EXPECT_THAT(o.out, HasSubstr("16384"));
}

TEST_F(SeccompTest, UserNamespaceIsRefusedAndSaysWhy) {
  const Outcome o = Run(Debian({"unshare", "-U", "true"}));
  EXPECT_NE(o.exit_code, 0);
  EXPECT_THAT(o.err, HasSubstr("Operation not permitted"));
}

}  // namespace
}  // namespace pinion::launch
