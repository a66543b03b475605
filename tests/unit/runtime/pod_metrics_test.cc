#include "runtime/pod_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace pinion::runtime {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int64_t kStart = 1'000;

ContainerUsage Container(const std::string& id, uint64_t periods, uint64_t held,
                         uint64_t held_us) {
  ContainerUsage usage;
  auto record = std::make_shared<state::ContainerRecord>();
  record->set_id(id);
  record->set_created_at_ns(kStart + 1);
  usage.container = record;
  usage.cgroup.emplace();
  usage.cgroup->usage.cpu = cgroup::ParseCpuStat(
      absl::StrCat("nr_periods ", periods, "\nnr_throttled ", held,
                   "\nthrottled_usec ", held_us, "\n"));
  return usage;
}

PodUsage Pod(const std::string& id, double avg10, uint64_t waited_us,
             uint64_t oom_kills) {
  PodUsage usage;
  auto record = std::make_shared<state::PodRecord>();
  record->set_id(id);
  record->set_created_at_ns(kStart + 1);
  usage.pod = record;
  usage.cgroup.emplace();
  usage.cgroup->usage.memory_pressure = cgroup::ParsePressure(absl::StrCat(
      "some avg10=", avg10, " avg60=0 avg300=0 total=", waited_us,
      "\nfull avg10=0 avg60=0 avg300=0 total=", waited_us / 2, "\n"));
  usage.cgroup->details.emplace();
  usage.cgroup->details->memory_events.oom_kills = oom_kills;
  return usage;
}

class PodMetricsTest : public testing::Test {
 protected:
  void ExpectLine(const std::string& line) {
    EXPECT_THAT(registry_->Render(), HasSubstr("\n" + line + "\n"));
  }

  std::unique_ptr<metrics::Registry> registry_ = metrics::Registry::Create();
  PodMetrics metrics_{*registry_, kStart};
};

TEST_F(PodMetricsTest, SumsWhatCameSinceTheLastLook) {
  PodUsage pod = Pod("p", 0.5, 2'000'000, 1);
  pod.containers = {Container("a", 100, 40, 1'500'000),
                    Container("b", 10, 0, 0)};
  metrics_.Take({pod});
  ExpectLine("pinion_container_cpu_periods_total 110");
  ExpectLine("pinion_container_cpu_throttled_periods_total 40");
  ExpectLine("pinion_container_cpu_throttled_seconds_total 1.5");
  ExpectLine(
      "pinion_pod_pressure_seconds_total{resource=\"memory\",tasks=\"some\"} "
      "2");
  ExpectLine(
      "pinion_pod_pressure_seconds_total{resource=\"memory\",tasks=\"all\"} 1");
  ExpectLine("pinion_pod_oom_killed_processes_total 1");

  PodUsage later = Pod("p", 0.5, 2'500'000, 3);
  later.containers = {Container("a", 150, 45, 1'750'000)};
  metrics_.Take({later});
  ExpectLine("pinion_container_cpu_periods_total 160");
  ExpectLine("pinion_container_cpu_throttled_seconds_total 1.75");
  ExpectLine("pinion_pod_oom_killed_processes_total 3");
}

// A restart of the daemon: rate() must not see their whole lives at once.
TEST_F(PodMetricsTest, WhatIsOlderThanTheCountersStartsAtItsTotal) {
  PodUsage pod = Pod("p", 0.5, 2'000'000, 7);
  pod.containers = {Container("a", 100, 40, 1'500'000)};
  auto pod_record = std::make_shared<state::PodRecord>(*pod.pod);
  pod_record->set_created_at_ns(kStart - 1);
  pod.pod = pod_record;
  auto record =
      std::make_shared<state::ContainerRecord>(*pod.containers[0].container);
  record->set_created_at_ns(kStart - 1);
  pod.containers[0].container = record;
  metrics_.Take({pod});
  ExpectLine("pinion_container_cpu_periods_total 0");
  ExpectLine("pinion_pod_oom_killed_processes_total 0");
  pod.containers[0].cgroup = Container("a", 130, 40, 1'500'000).cgroup;
  pod.cgroup->details->memory_events.oom_kills = 8;
  metrics_.Take({pod});
  ExpectLine("pinion_container_cpu_periods_total 30");
  ExpectLine("pinion_pod_oom_killed_processes_total 1");
}

TEST_F(PodMetricsTest, NeverGoesBackWhenPodsGo) {
  metrics_.Take({Pod("p", 0, 4'000'000, 0), Pod("q", 0, 1'000'000, 0)});
  metrics_.Take({Pod("q", 0, 1'000'000, 0)});
  ExpectLine(
      "pinion_pod_pressure_seconds_total{resource=\"memory\",tasks=\"some\"} "
      "5");
  metrics_.Take({});
  // Another pod, whose counters begin at nothing.
  metrics_.Take({Pod("r", 0, 500'000, 0)});
  ExpectLine(
      "pinion_pod_pressure_seconds_total{resource=\"memory\",tasks=\"some\"} "
      "5.5");
}

TEST_F(PodMetricsTest, CountsThePodsUnderPressureNow) {
  metrics_.Take({Pod("p", 9.9, 0, 0), Pod("q", 10, 0, 0), Pod("r", 80, 0, 0)});
  ExpectLine("pinion_pods_under_pressure{resource=\"memory\"} 2");
  ExpectLine("pinion_pods_under_pressure{resource=\"cpu\"} 0");
  metrics_.Take({Pod("p", 9.9, 0, 0)});
  ExpectLine("pinion_pods_under_pressure{resource=\"memory\"} 0");
}

TEST_F(PodMetricsTest, NoSeriesIsAPods) {
  const auto count = [this] {
    const std::string text = registry_->Render();
    return std::count(text.begin(), text.end(), '\n');
  };
  metrics_.Take({});
  const auto before = count();
  std::vector<PodUsage> pods;
  for (int i = 0; i < 300; ++i) {
    pods.push_back(Pod(absl::StrCat("p", i), 50, 1'000'000, 1));
  }
  metrics_.Take(pods);
  EXPECT_EQ(count(), before);
  EXPECT_THAT(registry_->Render(), Not(HasSubstr("p299")));
}

}  // namespace
}  // namespace pinion::runtime
