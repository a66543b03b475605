#include "runtime/cgroup/limit_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::cgroup {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<Setting> Convert(const state::Resources& resources) {
  auto settings = ToSettings(resources);
  EXPECT_TRUE(settings.ok()) << settings.status();
  return settings.ok() ? *settings : std::vector<Setting>();
}

void ExpectRefused(const state::Resources& resources, const char* why) {
  const auto settings = ToSettings(resources);
  EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument)
      << settings.status();
  EXPECT_THAT(std::string(settings.status().message()), HasSubstr(why));
}

TEST(CpuWeightTest, FollowsTheConversionOfKubernetes) {
  EXPECT_EQ(CpuWeightFromShares(1), 1);
  EXPECT_EQ(CpuWeightFromShares(2), 1);
  EXPECT_EQ(CpuWeightFromShares(100), 4);
  EXPECT_EQ(CpuWeightFromShares(512), 20);
  EXPECT_EQ(CpuWeightFromShares(1024), 39);
  EXPECT_EQ(CpuWeightFromShares(2048), 79);
  EXPECT_EQ(CpuWeightFromShares(262'144), 10'000);
  EXPECT_EQ(CpuWeightFromShares(1'000'000), 10'000);
}

TEST(ToSettingsTest, UnsetIsNotZero) {
  EXPECT_THAT(Convert(state::Resources()), IsEmpty());
}

TEST(ToSettingsTest, ConvertsEveryFieldInTheOrderOfApplication) {
  state::Resources r;
  r.set_cpu_period_us(100'000);
  r.set_cpu_quota_us(50'000);
  r.set_cpu_shares(1024);
  r.set_memory_limit_bytes(64 << 20);
  r.set_memory_swap_limit_bytes(96 << 20);
  r.set_cpuset_cpus("2-3");
  r.set_cpuset_mems("1");
  auto* huge = r.add_hugepage_limits();
  huge->set_page_size("2MB");
  huge->set_limit_bytes(4 << 20);
  (*r.mutable_unified())["memory.high"] = "50000000";
  EXPECT_THAT(
      Convert(r),
      ElementsAre(Setting{"cpuset.cpus", "2-3"}, Setting{"cpuset.mems", "1"},
                  Setting{"cpu.weight", "39"},
                  Setting{"cpu.max", "50000 100000"},
                  Setting{"memory.max", "67108864"},
                  Setting{"memory.swap.max", "33554432"},
                  Setting{"hugetlb.2MB.max", "4194304"},
                  Setting{"hugetlb.2MB.rsvd.max", "4194304"},
                  Setting{"memory.high", "50000000"}));
}

TEST(ToSettingsTest, CpuMaxInItsFourForms) {
  const auto cpu_max = [](int64_t quota, int64_t period) {
    state::Resources r;
    r.set_cpu_quota_us(quota);
    r.set_cpu_period_us(period);
    return Convert(r).at(0).value;
  };
  EXPECT_EQ(cpu_max(20'000, 50'000), "20000 50000");
  EXPECT_EQ(cpu_max(20'000, 0), "20000") << "the period in force stays";
  EXPECT_EQ(cpu_max(-1, 100'000), "max 100000");
  EXPECT_EQ(cpu_max(0, 100'000), "- 100000") << "the quota in force stays";
}

TEST(ToSettingsTest, RefusesCpuNumbersTheKernelWouldNotTake) {
  state::Resources r;
  r.set_cpu_period_us(999);
  ExpectRefused(r, "cpu_period 999");
  r.set_cpu_period_us(1'000'001);
  ExpectRefused(r, "cpu_period");
  r.Clear();
  r.set_cpu_quota_us(10);
  ExpectRefused(r, "cpu_quota 10");
  r.Clear();
  r.set_cpu_shares(-5);
  ExpectRefused(r, "cpu_shares");
}

TEST(ToSettingsTest, SwapIsWhatTheSumLeavesAfterMemory) {
  const auto swap = [](int64_t memory, int64_t both) {
    state::Resources r;
    r.set_memory_limit_bytes(memory);
    r.set_memory_swap_limit_bytes(both);
    return Convert(r).back();
  };
  EXPECT_EQ(swap(100, 100), (Setting{"memory.swap.max", "0"}));
  EXPECT_EQ(swap(100, 150), (Setting{"memory.swap.max", "50"}));
  EXPECT_EQ(swap(100, -1), (Setting{"memory.swap.max", "max"}));
  EXPECT_EQ(swap(-1, 0), (Setting{"memory.max", "max"}));
  EXPECT_EQ(swap(0, -1), (Setting{"memory.swap.max", "max"}));

  state::Resources r;
  r.set_memory_swap_limit_bytes(100);
  ExpectRefused(r, "needs memory_limit_in_bytes");
  r.set_memory_limit_bytes(200);
  ExpectRefused(r, "below memory_limit_in_bytes");
  r.set_memory_limit_bytes(-2);
  ExpectRefused(r, "negative");
}

TEST(ToSettingsTest, RefusesMalformedListsAndPageSizes) {
  for (const char* list : {"a", "3-1", "0,", "0-", "99999", "0 1", "0\n1"}) {
    state::Resources r;
    r.set_cpuset_cpus(list);
    ExpectRefused(r, "cpuset_cpus");
    r.Clear();
    r.set_cpuset_mems(list);
    ExpectRefused(r, "cpuset_mems");
  }
  for (const char* size :
       {"", "2", "MB", "2M", "2mb", "0MB", "../MB", "2MB/", "2.5MB"}) {
    state::Resources r;
    r.add_hugepage_limits()->set_page_size(size);
    ExpectRefused(r, "hugepage size");
  }
}

TEST(ToSettingsTest, UnifiedReplacesWhatWasConverted) {
  state::Resources r;
  r.set_memory_limit_bytes(1 << 20);
  r.set_cpu_shares(1024);
  (*r.mutable_unified())["memory.max"] = "max";
  EXPECT_THAT(Convert(r), ElementsAre(Setting{"cpu.weight", "39"},
                                      Setting{"memory.max", "max"}));
}

TEST(ToSettingsTest, OneFaceOfTheWeightIsWritten) {
  state::Resources r;
  r.set_cpu_shares(1024);
  (*r.mutable_unified())["cpu.weight.nice"] = "4";
  EXPECT_THAT(*ToSettings(r), ElementsAre(Setting{"cpu.weight.nice", "4"}));
  // What is idle has no weight; what is no longer gets it afterwards.
  (*r.mutable_unified())["cpu.idle"] = "1";
  EXPECT_THAT(*ToSettings(r), ElementsAre(Setting{"cpu.idle", "1"}));
  (*r.mutable_unified())["cpu.idle"] = "0";
  r.mutable_unified()->erase("cpu.weight.nice");
  EXPECT_THAT(*ToSettings(r), ElementsAre(Setting{"cpu.idle", "0"},
                                          Setting{"cpu.weight", "39"}));
}

TEST(ToSettingsTest, UnifiedNamesOnlyControllersFiles) {
  for (const char* file :
       {"cgroup.procs", "cgroup.kill", "", "memory", "memory.", "../memory.max",
        "memory.max/../cgroup.procs", "x.max", "memory max", "irq.pressure",
        "memory.reclaim", "cpu.pressure", "/memory.max", "Memory.max"}) {
    state::Resources r;
    (*r.mutable_unified())[file] = "1";
    ExpectRefused(r, "unified");
  }
  state::Resources r;
  (*r.mutable_unified())["pids.max"] = "77";
  EXPECT_THAT(Convert(r), ElementsAre(Setting{"pids.max", "77"}));
  (*r.mutable_unified())["pids.max"] = "many";
  ExpectRefused(r, "unified: pids.max \"many\" must be a number or max");
}

TEST(HoldsTest, KnowsTheKernelsRounding) {
  EXPECT_TRUE(Holds("memory.max", "67108864", "67108864\n"));
  EXPECT_TRUE(Holds("memory.max", "50000000", "49999872\n")) << "whole pages";
  EXPECT_FALSE(Holds("memory.max", "50000000", "49995776\n"));
  EXPECT_FALSE(Holds("memory.max", "50000000", "50003968\n"));
  EXPECT_TRUE(Holds("memory.high", "80M", "83886080\n"));
  EXPECT_TRUE(Holds("memory.max", "max", "max\n"));
  EXPECT_FALSE(Holds("memory.max", "max", "4096\n"));
  EXPECT_FALSE(Holds("memory.max", "4096", "max\n"));
  EXPECT_TRUE(Holds("memory.max", "9223372036854775807", "max\n"));
  EXPECT_TRUE(Holds("hugetlb.2MB.max", "3000000", "2097152\n"));
  EXPECT_FALSE(Holds("hugetlb.2MB.max", "5000000", "2097152\n"));
}

TEST(HoldsTest, SmallNumbersThatAreNoByteCountsAreNotRounded) {
  EXPECT_FALSE(Holds("memory.oom.group", "1", "0\n"));
  EXPECT_FALSE(Holds("memory.zswap.writeback", "1", "0\n"));
  EXPECT_FALSE(Holds("pids.max", "77", "76\n"));
  EXPECT_FALSE(Holds("cpu.weight", "100", "99\n"));
}

TEST(HoldsTest, ComparesListsAsSets) {
  EXPECT_TRUE(Holds("cpuset.cpus", "0,1,2,3", "0-3\n"));
  EXPECT_TRUE(Holds("cpuset.cpus", "", "\n"));
  EXPECT_FALSE(Holds("cpuset.cpus", "0-3", "0-2\n"));
  EXPECT_FALSE(Holds("cpuset.mems", "0", "\n"));
}

TEST(HoldsTest, CpuMaxMayLeaveEitherHalf) {
  EXPECT_TRUE(Holds("cpu.max", "max 100000", "max 100000\n"));
  EXPECT_TRUE(Holds("cpu.max", "50000", "50000 20000\n"));
  EXPECT_TRUE(Holds("cpu.max", "- 20000", "50000 20000\n"));
  EXPECT_FALSE(Holds("cpu.max", "- 20000", "50000 100000\n"));
  EXPECT_FALSE(Holds("cpu.max", "50000", "max 100000\n"));
}

TEST(TouchedFilesTest, AreThoseThatChangeOrAreNamed) {
  state::Resources record;
  record.set_cpuset_cpus("0-1");
  record.set_cpu_shares(1024);
  record.set_memory_limit_bytes(4096);
  record.set_memory_swap_limit_bytes(8192);
  (*record.mutable_unified())["io.max"] = "8:0 rbps=1";
  state::Resources changes;
  changes.set_cpuset_cpus("0-1");
  EXPECT_THAT(TouchedFiles(record, changes, record),
              ElementsAre("cpuset.cpus"));
  // As a kubelet that resizes the CPU: it names the memory, too.
  changes.set_cpu_shares(2048);
  changes.set_memory_limit_bytes(4096);
  state::Resources merged = record;
  merged.set_cpu_shares(2048);
  EXPECT_THAT(
      TouchedFiles(record, changes, merged),
      ElementsAre("cpu.idle", "cpu.weight", "cpu.weight.nice", "cpuset.cpus"));
  merged = record;
  merged.set_memory_limit_bytes(8192);
  EXPECT_THAT(TouchedFiles(record, {}, merged),
              ElementsAre("memory.max", "memory.swap.max"));
}

// A weight that counts again has to be written.
TEST(TouchedFilesTest, AWeightComesBackWhenNothingIsIdleAnyMore) {
  state::Resources record;
  record.set_cpu_shares(1024);
  (*record.mutable_unified())["cpu.idle"] = "0";
  state::Resources changes;
  (*changes.mutable_unified())["cpu.idle"] = "0";
  EXPECT_THAT(TouchedFiles(record, changes, record),
              ElementsAre("cpu.idle", "cpu.weight", "cpu.weight.nice"));
}

TEST(HoldsTest, KeyedFilesHoldMoreThanWasWritten) {
  const char* io = "8:0 rbps=1048576 wbps=max riops=max wiops=max\n";
  EXPECT_TRUE(Holds("io.max", "8:0 rbps=1048576", io));
  EXPECT_TRUE(Holds("io.max", "8:0 rbps=1048576 wbps=max", io));
  EXPECT_FALSE(Holds("io.max", "8:0 rbps=2048", io));
  EXPECT_FALSE(Holds("io.max", "8:1 rbps=1048576", io));
  EXPECT_TRUE(Holds("io.max", "8:1 rbps=max", io)) << "no line, no limit";
  EXPECT_TRUE(Holds("io.weight", "200", "default 200\n8:0 50\n"));
  EXPECT_FALSE(Holds("io.weight", "default 100", "default 200\n"));
  EXPECT_TRUE(Holds("io.weight", "8:0 50", "default 200\n8:0 50\n"));
}

TEST(UndoWritesTest, GivesBackWhatWasThere) {
  EXPECT_THAT(UndoWrites("memory.max", "4096\n", "8192"), ElementsAre("4096"));
  EXPECT_THAT(UndoWrites("cpuset.cpus", "\n", "0"), ElementsAre("\n"));
  EXPECT_THAT(UndoWrites("io.max", "8:0 rbps=7 wbps=max\n", "8:0 rbps=9"),
              ElementsAre("8:0 rbps=7 wbps=max"));
  EXPECT_THAT(UndoWrites("io.max", "", "8:0 rbps=9 wiops=2"),
              ElementsAre("8:0 rbps=max wiops=max"));
  EXPECT_THAT(UndoWrites("io.latency", "", "8:0 target=9"),
              ElementsAre("8:0 target=0"));
  EXPECT_THAT(UndoWrites("io.weight", "default 100\n", "300"),
              ElementsAre("default 100"));
  EXPECT_THAT(UndoWrites("io.weight", "default 100\n", "8:0 300"),
              ElementsAre("8:0 default"));
}

}  // namespace
}  // namespace pinion::cgroup
