// On real cgroups; what needs controllers is in vm/.

#include "runtime/cgroup/usage.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {
namespace {

using testing_support::ScratchCgroup;

// Asleep until it is killed.
pid_t StartChild() {
  const pid_t pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  return pid;
}

void End(pid_t pid) {
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

TEST(CgroupUsageTest, CountsTheProcessesOfTheWholeTree) {
  const ScratchCgroup scratch;
  scratch.MakeDir(scratch.path() + "/leaf");
  scratch.MakeDir(scratch.path() + "/leaf/exec-1");
  const pid_t first = StartChild();
  const pid_t second = StartChild();
  scratch.Write(scratch.path() + "/leaf/cgroup.procs", std::to_string(first));
  scratch.Write(scratch.path() + "/leaf/exec-1/cgroup.procs",
                std::to_string(second));
  const auto usage = ReadUsage(scratch.Open(scratch.path()).get());
  ASSERT_TRUE(usage.ok()) << usage.status();
  auto pids = usage->processes;
  std::sort(pids.begin(), pids.end());
  EXPECT_EQ(pids, (std::vector<pid_t>{std::min(first, second),
                                      std::max(first, second)}));
  End(first);
  End(second);
}

TEST(CgroupUsageTest, SaysWhatTheFilesSay) {
  const ScratchCgroup scratch;
  const os::UniqueFd dir = scratch.Open(scratch.path());
  const auto usage = ReadUsage(dir.get());
  ASSERT_TRUE(usage.ok()) << usage.status();
  const CpuStat file = ParseCpuStat(scratch.Read(scratch.path() + "/cpu.stat"));
  EXPECT_EQ(usage->cpu.usage_us, file.usage_us);
  EXPECT_TRUE(usage->cpu.usage_us.has_value());
  EXPECT_EQ(usage->memory_current.has_value(),
            scratch.Exists(scratch.path() + "/memory.current"));
  EXPECT_EQ(usage->cpu_pressure.has_value(),
            scratch.Exists(scratch.path() + "/cpu.pressure"));
  EXPECT_TRUE(usage->processes.empty());
}

TEST(CgroupUsageTest, WhatNoFileSaysIsAbsent) {
  const ScratchCgroup scratch;
  const os::UniqueFd dir = scratch.Open(scratch.path());
  const auto details = ReadDetails(dir.get());
  ASSERT_TRUE(details.ok()) << details.status();
  EXPECT_EQ(details->memory_peak.has_value(),
            scratch.Exists(scratch.path() + "/memory.peak"));
  EXPECT_EQ(details->threads.has_value(),
            scratch.Exists(scratch.path() + "/pids.current"));
  EXPECT_EQ(details->cpu_max.period_us.has_value(),
            scratch.Exists(scratch.path() + "/cpu.max"));
}

TEST(CgroupUsageTest, ARemovedCgroupUsesNothing) {
  const ScratchCgroup scratch;
  const std::string path = scratch.path() + "/gone";
  scratch.MakeDir(path);
  const os::UniqueFd dir = scratch.Open(path);
  ASSERT_EQ(rmdir((scratch.root() + path).c_str()), 0);
  const auto usage = ReadUsage(dir.get());
  ASSERT_TRUE(usage.ok()) << usage.status();
  EXPECT_EQ(usage->cpu.usage_us, std::nullopt);
  EXPECT_TRUE(usage->processes.empty());
}

}  // namespace
}  // namespace pinion::cgroup
