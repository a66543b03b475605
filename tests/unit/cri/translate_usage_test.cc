#include "cri/translate_usage.h"

#include <gtest/gtest.h>

#include "tests/unit/cri/usage_cases.h"

namespace pinion::cri {
namespace {

TEST(TranslateUsageTest, EveryNumberArrives) {
  runtime::PodUsage pod = FullPod();
  pod.cgroup->details->memory_high = 400'000;
  admin::v1::PodUsage out;
  ToPodUsage(pod, &out);
  EXPECT_EQ(out.id(), std::string(64, 'a'));
  EXPECT_EQ(out.name(), "web-0");
  EXPECT_EQ(out.namespace_(), "shop");
  const admin::v1::CgroupUsage& usage = out.usage();
  EXPECT_EQ(usage.cpu_usage_us(), 9'000'000U);
  EXPECT_EQ(usage.cpu_periods(), 93U);
  EXPECT_EQ(usage.cpu_throttled_periods(), 41U);
  EXPECT_EQ(usage.cpu_throttled_us(), 2'000'000U);
  EXPECT_EQ(usage.cpu_quota_us(), 20'000U);
  EXPECT_EQ(usage.cpu_period_us(), 100'000U);
  EXPECT_EQ(usage.memory_bytes(), 100'000U);
  EXPECT_EQ(usage.memory_high_bytes(), 400'000U);
  EXPECT_EQ(usage.memory_max_bytes(), 500'000U);
  EXPECT_EQ(usage.swap_bytes(), 4096U);
  EXPECT_EQ(usage.oom_kills(), 2U);
  EXPECT_EQ(usage.pids(), 17U);
  EXPECT_EQ(usage.pids_max(), 1700U);
  EXPECT_EQ(usage.processes(), 3U);
  EXPECT_EQ(usage.cpu_pressure().some().avg10(), 1.5);
  EXPECT_EQ(usage.cpu_pressure().some().avg60(), 0.33);
  EXPECT_EQ(usage.cpu_pressure().full().total_us(), 12'000'000U);
  EXPECT_EQ(usage.memory_pressure().some().avg10(), 2.5);
  EXPECT_EQ(usage.io_pressure().some().avg10(), 3.5);
  ASSERT_EQ(out.containers_size(), 1);
  EXPECT_EQ(out.containers(0).name(), "server");
  EXPECT_EQ(out.containers(0).usage().pids(), 17U);
}

TEST(TranslateUsageTest, NoLimitAndNoCounterAreAbsent) {
  runtime::PodUsage pod = FullPod();
  pod.cgroup->usage = {};
  pod.cgroup->usage.memory_max = cgroup::kNoLimit;
  pod.cgroup->details.emplace();
  pod.cgroup->details->memory_high = cgroup::kNoLimit;
  pod.cgroup->details->threads_max = cgroup::kNoLimit;
  pod.cgroup->details->cpu_max = {cgroup::kNoLimit, 100'000};
  pod.containers[0].cgroup.reset();
  admin::v1::PodUsage out;
  ToPodUsage(pod, &out);
  admin::v1::CgroupUsage nothing;
  nothing.set_processes(0);
  EXPECT_EQ(out.usage().SerializeAsString(), nothing.SerializeAsString());
  EXPECT_EQ(out.containers_size(), 0) << "it does not run";
}

}  // namespace
}  // namespace pinion::cri
