// What a monitor costs, and that it does not grow.

#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "runtime/launch/plan_writer.h"
#include "tests/integration/monitor/monitor_bed.h"

namespace pinion::monitor {
namespace {

using FootprintTest = MonitorTest;

constexpr int64_t kBudgetKib = 300;

TEST_F(FootprintTest, MonitorStaysWithinItsBudget) {
  SandboxRequest request;
  request.hostname = "pod";
  StartPod(request);
  Run("c1", "echo started; sleep 1000");
  ASSERT_TRUE(Eventually([&] { return Log("c1").size() == 1; }));
  // It gives memory back when it has nothing else to do.
  int64_t pss = 0;
  EXPECT_TRUE(Eventually([&] {
    pss = MemoryKib(client_->pid(), "Pss");
    return pss <= kBudgetKib;
  }));
  std::printf("  PSS of a monitor alone: %ld KiB (anonymous %ld KiB)\n",
              static_cast<long>(pss),
              static_cast<long>(MemoryKib(client_->pid(), "Pss_Anon")));
  EXPECT_LE(pss, kBudgetKib);
}

TEST_F(FootprintTest, TheBinaryIsStaticAndSmall) {
  struct stat st = {};
  ASSERT_EQ(fstat(image_.get(), &st), 0);
  std::printf("  image: %ld KiB\n", static_cast<long>(st.st_size / 1024));
  EXPECT_LT(st.st_size, 1 << 20);
  Elf64_Ehdr header = {};
  ASSERT_EQ(pread(image_.get(), &header, sizeof(header), 0),
            ssize_t{sizeof(header)});
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr program = {};
    const off_t at =
        static_cast<off_t>(header.e_phoff) + i * header.e_phentsize;
    ASSERT_EQ(pread(image_.get(), &program, sizeof(program), at),
              ssize_t{sizeof(program)});
    EXPECT_NE(program.p_type, uint32_t{PT_INTERP});
    EXPECT_NE(program.p_type, uint32_t{PT_DYNAMIC});
  }
  // Sealed: nobody who opens /proc/<monitor>/exe can change it.
  EXPECT_EQ(write(image_.get(), "x", 1), -1);
  EXPECT_EQ(ftruncate(image_.get(), 0), -1);
}

TEST_F(FootprintTest, TwoHundredStartsAndExitsLeaveNothing) {
  StartPod();
  const auto cycle = [this](int i) {
    const std::string id = "c" + std::to_string(i);
    Run(id, "echo hello; exit 1");
    EXPECT_EQ(events_.WaitExit(id).exit_code, 1);
    EXPECT_TRUE(client_->Forget(id, Soon()).ok());
    EXPECT_TRUE(Eventually(
        [&] { return rmdir((cgroup_->full() + "/" + id).c_str()) == 0; }));
  };
  for (int i = 0; i < 20; ++i) cycle(i);
  const size_t fds = OpenFds(client_->pid());
  const size_t own_fds = OpenFds(getpid());
  const int64_t anonymous = MemoryKib(client_->pid(), "Pss_Anon");
  for (int i = 20; i < 220; ++i) cycle(i);
  EXPECT_TRUE(Eventually([&] {
    return OpenFds(client_->pid()) <= fds && OpenFds(getpid()) <= own_fds;
  }));
  EXPECT_TRUE(Eventually(
      [&] { return MemoryKib(client_->pid(), "Pss_Anon") <= anonymous + 4; }));
  EXPECT_EQ(ReadExitRecords(pod_dir_fd_.get())->size(), 0u);
}

TEST_F(FootprintTest, ManyThreadsShareTheConnection) {
  StartPod();
  const Started container = Run("c1", "sleep 1000");
  const size_t fds = RestingFds();
  constexpr int kThreads = 8;
  constexpr int kExecs = 25;
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kExecs; ++i) {
        ExecRequest exec;
        exec.container_id = "c1";
        exec.exec_id = "e" + std::to_string(t * kExecs + i);
        exec.plan =
            launch::EncodePlan(ExecIn(container, "exit " + std::to_string(t)));
        if (!client_->Exec(exec, Soon()).ok()) continue;
        if (events_.WaitExit(exec.exec_id).exit_code == t) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, kThreads * kExecs);
  EXPECT_TRUE(Eventually([&] { return OpenFds(client_->pid()) <= fds; }));
}

}  // namespace
}  // namespace pinion::monitor
