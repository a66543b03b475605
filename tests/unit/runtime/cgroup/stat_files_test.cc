// With files in the kernel's format (Linux 6.1), shortened.

#include "runtime/cgroup/stat_files.h"

#include <gtest/gtest.h>

namespace pinion::cgroup {
namespace {

TEST(StatFilesTest, CountIsANumberOrMax) {
  EXPECT_EQ(ParseCount("1953792\n"), 1953792U);
  EXPECT_EQ(ParseCount("max\n"), kNoLimit);
  EXPECT_EQ(ParseCount("0\n"), 0U);
}

TEST(StatFilesTest, CountIsAbsentIfItIsNone) {
  for (const char* text : {"", "\n", "-1\n", "12x\n", "1 2\n", "maximum\n",
                           "18446744073709551616\n"}) {
    EXPECT_EQ(ParseCount(text), std::nullopt) << text;
  }
}

TEST(StatFilesTest, CpuStatWithController) {
  const CpuStat stat = ParseCpuStat(
      "usage_usec 1283641\nuser_usec 821530\nsystem_usec 462111\n"
      "core_sched.force_idle_usec 0\nnr_periods 93\nnr_throttled 41\n"
      "throttled_usec 1822467\nnr_bursts 0\nburst_usec 0\n");
  EXPECT_EQ(stat.usage_us, 1283641U);
  EXPECT_EQ(stat.user_us, 821530U);
  EXPECT_EQ(stat.system_us, 462111U);
  EXPECT_EQ(stat.periods, 93U);
  EXPECT_EQ(stat.throttled_periods, 41U);
  EXPECT_EQ(stat.throttled_us, 1822467U);
}

TEST(StatFilesTest, CpuStatWithoutControllerHasNoPeriods) {
  const CpuStat stat =
      ParseCpuStat("usage_usec 12\nuser_usec 5\nsystem_usec 7\nnice_usec 0\n");
  EXPECT_EQ(stat.usage_us, 12U);
  EXPECT_EQ(stat.periods, std::nullopt);
  EXPECT_EQ(stat.throttled_us, std::nullopt);
}

TEST(StatFilesTest, CpuMaxWithAndWithoutQuota) {
  EXPECT_EQ(ParseCpuMax("max 100000\n").quota_us, kNoLimit);
  EXPECT_EQ(ParseCpuMax("max 100000\n").period_us, 100000U);
  EXPECT_EQ(ParseCpuMax("20000 100000\n").quota_us, 20000U);
  EXPECT_EQ(ParseCpuMax("").quota_us, std::nullopt);
}

TEST(StatFilesTest, MemoryStat) {
  const MemoryStat stat = ParseMemoryStat(
      "anon 544768\nfile 1056768\nkernel 307200\nkernel_stack 16384\n"
      "file_mapped 811008\ninactive_anon 528384\nactive_anon 16384\n"
      "inactive_file 675840\nactive_file 380928\npgfault 1911\n"
      "pgmajfault 14\n");
  EXPECT_EQ(stat.anon, 544768U);
  EXPECT_EQ(stat.file, 1056768U);
  EXPECT_EQ(stat.kernel, 307200U);
  EXPECT_EQ(stat.file_mapped, 811008U);
  EXPECT_EQ(stat.inactive_file, 675840U);
  EXPECT_EQ(stat.page_faults, 1911U);
  EXPECT_EQ(stat.major_page_faults, 14U);
}

TEST(StatFilesTest, AKeyTheKernelDoesNotHaveIsAbsent) {
  // Before Linux 5.18.
  EXPECT_EQ(ParseMemoryStat("anon 1\nfile 2\n").kernel, std::nullopt);
  EXPECT_EQ(ParseMemoryStat("anon x\n").anon, std::nullopt);
}

TEST(StatFilesTest, MemoryEvents) {
  const MemoryEvents events = ParseMemoryEvents(
      "low 0\nhigh 0\nmax 127\noom 3\noom_kill 2\noom_group_kill 0\n");
  EXPECT_EQ(events.max, 127U);
  EXPECT_EQ(events.oom_kills, 2U);
}

TEST(StatFilesTest, IoStat) {
  const auto devices = ParseIoStat(
      "254:0 rbytes=1056768 wbytes=4096 rios=34 wios=1 dbytes=8192 dios=1\n"
      "7:0 \n"
      "8:16 rbytes=1 wbytes=2 rios=3 wios=4\n");
  ASSERT_EQ(devices.size(), 2U);
  EXPECT_EQ(devices[0].major, 254U);
  EXPECT_EQ(devices[0].minor, 0U);
  EXPECT_EQ(devices[0].read_bytes, 1056768U);
  EXPECT_EQ(devices[0].written_bytes, 4096U);
  EXPECT_EQ(devices[0].reads, 34U);
  EXPECT_EQ(devices[0].writes, 1U);
  EXPECT_EQ(devices[0].discarded_bytes, 8192U);
  EXPECT_EQ(devices[1].minor, 16U);
  EXPECT_EQ(devices[1].discarded_bytes, std::nullopt);
}

TEST(StatFilesTest, IoStatLeavesOutWhatIsNoDevice) {
  EXPECT_TRUE(ParseIoStat("").empty());
  EXPECT_TRUE(ParseIoStat("(unknown) rbytes=1\n").empty());
  EXPECT_TRUE(
      ParseIoStat("8:x rbytes=1\n8:0 rbytes=x\n8:0 cost.usage=1\n").empty());
}

TEST(StatFilesTest, PressureOfBothKinds) {
  const Pressure pressure = ParsePressure(
      "some avg10=1.50 avg60=0.33 avg300=0.07 total=224771\n"
      "full avg10=0.00 avg60=0.00 avg300=0.00 total=51\n");
  ASSERT_TRUE(pressure.some.has_value());
  EXPECT_DOUBLE_EQ(pressure.some->avg10, 1.5);
  EXPECT_DOUBLE_EQ(pressure.some->avg60, 0.33);
  EXPECT_DOUBLE_EQ(pressure.some->avg300, 0.07);
  EXPECT_EQ(pressure.some->total_us, 224771U);
  ASSERT_TRUE(pressure.full.has_value());
  EXPECT_EQ(pressure.full->total_us, 51U);
}

TEST(StatFilesTest, PressureBefore513HasNoFullOfTheCpu) {
  const Pressure pressure =
      ParsePressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n");
  EXPECT_TRUE(pressure.some.has_value());
  EXPECT_FALSE(pressure.full.has_value());
  EXPECT_FALSE(ParsePressure("some avg10=nan total=1\n").some.has_value());
  EXPECT_FALSE(ParsePressure("some avg10=1.0\n").some.has_value());
}

TEST(StatFilesTest, PidsWithoutThoseOfOtherNamespaces) {
  EXPECT_EQ(ParsePids("12\n0\n4711\n"), (std::vector<pid_t>{12, 4711}));
  EXPECT_TRUE(ParsePids("").empty());
}

TEST(StatFilesTest, HugePageSizeOfTheFileThatCounts) {
  EXPECT_EQ(HugePageSizeOf("hugetlb.2MB.current"), "2MB");
  EXPECT_EQ(HugePageSizeOf("hugetlb.1GB.current"), "1GB");
  EXPECT_EQ(HugePageSizeOf("hugetlb.2MB.rsvd.current"), "");
  EXPECT_EQ(HugePageSizeOf("hugetlb.2MB.max"), "");
  EXPECT_EQ(HugePageSizeOf("memory.current"), "");
  EXPECT_EQ(HugePageSizeOf("hugetlb..current"), "");
}

}  // namespace
}  // namespace pinion::cgroup
