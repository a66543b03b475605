// The checker of invariant L, checked: every kind of thing is leaked on
// purpose and must be reported. Needs root.

#include "tests/support/invariant.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "tests/support/child.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::testing_support {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::chrono::milliseconds kShort(30);

class InvariantTest : public testing::Test {
 protected:
  InvariantTest() {
    dir_ = "/tmp/pn-invariant-" + NewId().substr(0, 12);
    fs::create_directories(dir_ + "/state");
    options_.cgroup_parents = {cgroup_.path()};
    options_.trees = {dir_};
    options_.state_dir = dir_ + "/state";
    options_.pid = getpid();
  }
  ~InvariantTest() override { fs::remove_all(dir_); }

  // Takes the snapshot; Report compares with it.
  void Baseline() { before_ = TakeSnapshot(options_); }
  std::string Report() { return AwaitBaseline(before_, options_, kShort); }

  ScratchCgroup cgroup_;
  std::string dir_;
  InvariantOptions options_;
  Snapshot before_;
};

TEST_F(InvariantTest, NothingLeakedIsNoDifference) {
  Baseline();
  EXPECT_EQ(Report(), "");
}

TEST_F(InvariantTest, ADescriptor) {
  Baseline();
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(Report(), "+ fd /dev/null\n+ fd socket\n");
  options_.fd_slack = 2;
  EXPECT_EQ(Report(), "");
  options_.fd_slack = 1;
  EXPECT_THAT(Report(), Not(IsEmpty()));
  close(fd);
  close(socket_fd);
  EXPECT_EQ(Report(), "");
}

TEST_F(InvariantTest, AThread) {
  Baseline();
  std::atomic<bool> stop = false;
  std::thread thread([&stop] { stop.wait(false); });
  EXPECT_THAT(Report(), HasSubstr("+ thread "));
  stop = true;
  stop.notify_all();
  thread.join();
  // join(3) returns a little before /proc forgets the thread.
  EXPECT_EQ(AwaitBaseline(before_, options_), "");
}

TEST_F(InvariantTest, AZombie) {
  Baseline();
  Child child([] { return 0; });
  // Waits for the end and leaves the zombie.
  siginfo_t info = {};
  ASSERT_EQ(
      waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT),
      0);
  EXPECT_THAT(Report(), HasSubstr("+ zombie support_tests"));
  child.Wait();
  EXPECT_EQ(Report(), "");
}

TEST_F(InvariantTest, ACgroup) {
  Baseline();
  cgroup_.MakeDir(cgroup_.path() + "/a");
  cgroup_.MakeDir(cgroup_.path() + "/a/b");
  EXPECT_EQ(Report(), "+ cgroup " + cgroup_.path() + "/a\n+ cgroup " +
                          cgroup_.path() + "/a/b\n");
}

TEST_F(InvariantTest, ACgroupThatIsGone) {
  cgroup_.MakeDir(cgroup_.path() + "/a");
  Baseline();
  rmdir((cgroup_.full() + "/a").c_str());
  EXPECT_EQ(Report(), "- cgroup " + cgroup_.path() + "/a\n");
}

TEST_F(InvariantTest, ALayerDirectory) {
  fs::create_directories(dir_ + "/layers");
  Baseline();
  fs::create_directories(dir_ + "/layers/7/fs/usr/bin");
  EXPECT_EQ(Report(), absl::StrCat("+ file ", dir_, "/layers/7\n+ file ", dir_,
                                   "/layers/7/fs\n"));
}

TEST_F(InvariantTest, ANetworkNamespaceOfADescendant) {
  Baseline();
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  const auto before_child = TakeSnapshot(options_);
  Child child([&] {
    unshare(CLONE_NEWNET);
    (void)!write(ready[1], "x", 1);
    while (true) pause();
    return 0;
  });
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THAT(Diff(before_child, TakeSnapshot(options_), options_),
              HasSubstr("+ netns net:["));
  close(ready[0]);
  close(ready[1]);
}

TEST_F(InvariantTest, ANamespaceOfAnOrphanInTheCgroups) {
  // Nobody's child, but in the pod's cgroup.
  const os::UniqueFd leaf = cgroup_.Open(cgroup_.path());
  Baseline();
  Child parent(
      [] {
        int unshared[2];
        if (pipe(unshared) != 0) return 1;
        if (fork() == 0) {
          if (unshare(CLONE_NEWNET) != 0) _exit(1);
          [[maybe_unused]] const ssize_t n = write(unshared[1], "x", 1);
          while (true) pause();
        }
        close(unshared[1]);
        char byte = 0;
        return read(unshared[0], &byte, 1) == 1 ? 0 : 1;
      },
      leaf.get());
  EXPECT_EQ(parent.Wait(), 0);
  EXPECT_THAT(AwaitBaseline(before_, options_, kShort),
              HasSubstr("+ netns net:["));
}

// In a namespace of its own, so that the machine's is not touched.
int InOwnNamespaces(const std::function<int()>& body) {
  return Child([&body] {
           if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return 100;
           mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
           return body();
         })
      .Wait();
}

TEST_F(InvariantTest, AMount) {
  EXPECT_EQ(InOwnNamespaces([this] {
              const Snapshot before = TakeSnapshot({});
              mount("pn", dir_.c_str(), "tmpfs", 0, nullptr);
              const std::string report = Diff(before, TakeSnapshot({}));
              return report == absl::StrCat("+ mount ", dir_,
                                            " tmpfs pn root /\n")
                         ? 0
                         : 1;
            }),
            0);
}

TEST_F(InvariantTest, ALink) {
  EXPECT_EQ(InOwnNamespaces([] {
              const Snapshot before = TakeSnapshot({});
              if (system("ip link add pnleak0 type bridge") != 0) return 2;
              const std::string report = Diff(before, TakeSnapshot({}));
              return report == "+ link pnleak0\n" ? 0 : 1;
            }),
            0);
}

TEST_F(InvariantTest, AMonitorWhoseStateIsGone) {
  // A program of that name, with a deleted file of the state directory open.
  Baseline();
  const std::string log = dir_ + "/state/monitor.log";
  std::ofstream(log) << "x";
  Child monitor([&log] {
    const int fd = open(log.c_str(), O_RDONLY);
    dup2(fd, 0);
    // It waits on a pipe of which it holds both ends: no child to leave behind.
    int ends[2];
    if (pipe(ends) != 0) return 1;
    const std::string wait = absl::StrCat("read -t 100 -u ", ends[0]);
    execlp("bash", "pinion-monitor", "-c", wait.c_str(), nullptr);
    return 1;
  });
  // The log's own line names a monitor, too.
  std::string report;
  for (int i = 0; i < 200 && report.find("+ monitor ") == std::string::npos;
       ++i) {
    report = AwaitBaseline(before_, options_, kShort);
  }
  unlink(log.c_str());
  EXPECT_THAT(AwaitBaseline(before_, options_, kShort),
              HasSubstr("+ monitor pinion-monitor"));
  kill(monitor.pid(), SIGKILL);
  monitor.Wait();
  EXPECT_EQ(AwaitBaseline(before_, options_), "");
}

TEST_F(InvariantTest, WhateverElseIsAskedFor) {
  std::vector<std::string> slots;
  options_.extra["ipam"] = [&slots] { return slots; };
  Baseline();
  slots = {"10.0.0.7 pod1"};
  EXPECT_EQ(Report(), "+ ipam 10.0.0.7 pod1\n");
}

TEST_F(InvariantTest, WaitsForWhatIsUnderWay) {
  Baseline();
  cgroup_.MakeDir(cgroup_.path() + "/a");
  std::thread later([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    rmdir((cgroup_.full() + "/a").c_str());
  });
  InvariantOptions without_threads = options_;
  without_threads.pid = 0;
  EXPECT_EQ(AwaitBaseline(before_, options_), "");
  later.join();
}

TEST_F(InvariantTest, TheGuardFailsTheTest) {
  options_.extra["thing"] = [this] {
    return fs::exists(dir_ + "/thing") ? std::vector<std::string>{"leaked"}
                                       : std::vector<std::string>{};
  };
  options_.trees.clear();
  EXPECT_NONFATAL_FAILURE(
      {
        const InvariantGuard guard(options_, kShort);
        std::ofstream(dir_ + "/thing") << "x";
      },
      "+ thing leaked");
}

TEST_F(InvariantTest, ASnapshotSurvivesItsFile) {
  options_.extra["odd"] = [] {
    return std::vector<std::string>{"a\nb\\n", "", "\t"};
  };
  Baseline();
  const auto again = FromText(ToText(before_));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(Diff(before_, *again), "");
  EXPECT_FALSE(FromText("no tab here\n").ok());
}

TEST_F(InvariantTest, TheProgramForShellTests) {
  const char* bin = getenv("PINION_BIN");
  const std::string program =
      absl::StrCat(bin != nullptr ? bin : "build/bin", "/pinion-invariant");
  const std::string flags = absl::StrCat(" ", dir_, "/snapshot --cgroup ",
                                         cgroup_.path(), " --timeout 0");
  ASSERT_EQ(system((program + " snapshot" + flags).c_str()), 0);
  EXPECT_EQ(system((program + " check" + flags).c_str()), 0);
  cgroup_.MakeDir(cgroup_.path() + "/a");
  FILE* pipe = popen((program + " check" + flags).c_str(), "r");
  char line[512] = {};
  EXPECT_NE(fgets(line, sizeof(line), pipe), nullptr);
  EXPECT_EQ(WEXITSTATUS(pclose(pipe)), 1);
  EXPECT_EQ(std::string(line), "+ cgroup " + cgroup_.path() + "/a\n");
  EXPECT_EQ(WEXITSTATUS(system((program + " 2>/dev/null").c_str())), 2);
  EXPECT_EQ(WEXITSTATUS(
                system((program + " check /nonexistent 2>/dev/null").c_str())),
            2);
}

}  // namespace
}  // namespace pinion::testing_support
