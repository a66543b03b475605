#include "tools/top.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace pinion::tools {
namespace {

using admin::v1::CgroupUsage;
using admin::v1::PodUsageResponse;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr Terminal kPlain = {.color = false, .width = 80};

// `seconds` after the beginning.
void SetCpu(double seconds, double percent, CgroupUsage* usage) {
  usage->set_cpu_usage_us(static_cast<uint64_t>(1e6 + seconds * percent * 1e4));
}

void SetPressure(double cpu, double memory, double io, CgroupUsage* usage) {
  usage->mutable_cpu_pressure()->mutable_some()->set_avg10(cpu);
  usage->mutable_cpu_pressure()->mutable_full()->set_avg10(cpu / 2);
  usage->mutable_memory_pressure()->mutable_some()->set_avg10(memory);
  usage->mutable_io_pressure()->mutable_some()->set_avg10(io);
}

admin::v1::PodUsage* AddPod(PodUsageResponse& response, double seconds,
                            const std::string& name) {
  auto* pod = response.add_pods();
  pod->set_id("id-" + name);
  pod->set_name(name);
  pod->set_namespace_("shop");
  pod->set_monotonic_ns(static_cast<int64_t>(5e9 + seconds * 1e9));
  return pod;
}

// Two pods: one at its limits, and one without any.
PodUsageResponse At(double seconds) {
  PodUsageResponse response;
  auto* web = AddPod(response, seconds, "web-7d9c6bb5c4-x2v9k");
  SetCpu(seconds, 50, web->mutable_usage());
  SetPressure(42.5, 0.4, 0, web->mutable_usage());
  web->mutable_usage()->set_memory_bytes(63 * kMiB);
  web->mutable_usage()->set_pids(12);
  auto* server = web->add_containers();
  server->set_id("server-id");
  server->set_name("server");
  CgroupUsage* usage = server->mutable_usage();
  SetCpu(seconds, 49.9, usage);
  usage->set_cpu_quota_us(50'000);
  usage->set_cpu_period_us(100'000);
  usage->set_cpu_periods(static_cast<uint64_t>(100 + 10 * seconds));
  usage->set_cpu_throttled_periods(static_cast<uint64_t>(50 + 9 * seconds));
  usage->set_memory_bytes(62 * kMiB);
  usage->set_memory_high_bytes(64 * kMiB);
  usage->set_memory_max_bytes(96 * kMiB);
  usage->set_pids(11);

  auto* batch = AddPod(response, seconds, "batch");
  SetCpu(seconds, 250, batch->mutable_usage());
  batch->mutable_usage()->set_memory_bytes(3 * 1024 * kMiB);
  batch->mutable_usage()->set_processes(3);
  return response;
}

TopSample Example() { return CompareUsage(At(0), At(2)); }

TEST(TopTest, ATableOfEightyColumns) {
  EXPECT_EQ(
      RenderTop(Example(), {.containers = true, .note = "q ends"}, kPlain),
      "2 pods, 1 container, by cpu, over 2.0 s\n"
      "                        cpu %            memory             waiting "
      "%\n"
      "pod                      use limit held    use  high   max   cpu  "
      "mem   io  pids\n"
      "shop/batch               250     -    -   3.0G     -     -     -  "
      "  -    -     3\n"
      "shop/web-7d…b5c4-x2v9k    50    50   90    63M   64M   96M    42  "
      "0.4  0.0    12\n"
      "  server                  50    50   90    62M   64M   96M     -  "
      "  -    -    11\n"
      "q ends\n");
}

TEST(TopTest, NoLineIsWiderThanTheTerminal) {
  PodUsageResponse after = At(2);
  for (auto& pod : *after.mutable_pods()) {
    pod.set_name(std::string(253, 'n'));
    pod.mutable_usage()->set_swap_bytes(1023 * kMiB);
    pod.mutable_usage()->set_oom_kills(17);
    pod.mutable_usage()->set_pids(32768);
  }
  for (const size_t width :
       {size_t{72}, size_t{80}, size_t{100}, size_t{120}}) {
    const std::string text =
        RenderTop(CompareUsage(At(0), after),
                  {.containers = true, .note = std::string(200, 'k')},
                  {.color = false, .width = width});
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      EXPECT_LE(DisplayWidth(std::string(line)), width) << line;
    }
  }
}

TEST(TopTest, ColumnsWithoutANumberAreLeftOut) {
  PodUsageResponse after;
  AddPod(after, 2, "bare")->mutable_usage()->set_processes(1);
  const std::string text = RenderTop(CompareUsage({}, after), {}, kPlain);
  EXPECT_EQ(text,
            "1 pod, 0 containers, by cpu\n"
            "           cpu %  memory  waiting %\n"
            "pod          use     use   cpu  mem   io  pids\n"
            "shop/bare      -       -     -    -    -     1\n");
  EXPECT_THAT(text, Not(HasSubstr("ooms")));
}

TEST(TopTest, NoPods) {
  EXPECT_EQ(RenderTop(CompareUsage({}, {}), {}, kPlain),
            "0 pods, 0 containers, by cpu\n");
}

TEST(TopTest, WhatDoesNotFitIsCounted) {
  PodUsageResponse after;
  for (int i = 0; i < 30; ++i) AddPod(after, 2, absl::StrCat("pod-", 10 + i));
  const TopView view = {.sort = TopSort::kName, .lines = 10, .note = "keys"};
  const std::string text = RenderTop(CompareUsage({}, after), view, kPlain);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_THAT(text, HasSubstr("shop/pod-14 "));
  EXPECT_THAT(text, Not(HasSubstr("shop/pod-15 ")));
  EXPECT_THAT(text, HasSubstr("\nand 25 more\nkeys\n"));
}

TEST(TopTest, ANameCannotMoveTheCursor) {
  PodUsageResponse after;
  AddPod(after, 2,
         "a\033[2J\nb\xc2\x9b"
         "2Jé");
  const std::string text = RenderTop(CompareUsage({}, after), {}, kPlain);
  EXPECT_THAT(text, HasSubstr("shop/a?[2J?b?2Jé"));
}

std::string FirstOf(TopSort sort) {
  TopSample sample = Example();
  SortTop(sort, sample.pods);
  return sample.pods[0].name;
}

TEST(TopTest, SortsByEveryKey) {
  EXPECT_EQ(FirstOf(TopSort::kCpu), "batch");
  EXPECT_EQ(FirstOf(TopSort::kMemory), "batch");
  EXPECT_EQ(FirstOf(TopSort::kThrottled), "web-7d9c6bb5c4-x2v9k");
  EXPECT_EQ(FirstOf(TopSort::kPressure), "web-7d9c6bb5c4-x2v9k");
  EXPECT_EQ(FirstOf(TopSort::kPids), "web-7d9c6bb5c4-x2v9k");
  EXPECT_EQ(FirstOf(TopSort::kName), "batch");
  TopSort sort = TopSort::kCpu;
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(*ParseTopSort(TopSortName(sort)), sort);
    sort = NextTopSort(sort);
  }
  EXPECT_EQ(sort, TopSort::kCpu) << "around";
  EXPECT_THAT(std::string(ParseTopSort("size").status().message()),
              HasSubstr("\"size\": use one of cpu, memory, throttled"));
}

TEST(TopTest, RatesNeedTwoSamplesOfTheSame) {
  PodUsageResponse before = At(0);
  before.mutable_pods()->DeleteSubrange(1, 1);
  // The container was started again: another id, its counters begin anew.
  before.mutable_pods(0)->mutable_containers(0)->set_id("older");
  TopSample sample = CompareUsage(before, At(2));
  EXPECT_NEAR(*sample.pods[0].cpu_percent, 50, 0.01);
  EXPECT_FALSE(sample.pods[0].containers[0].cpu_percent);
  EXPECT_FALSE(sample.pods[0].throttled_percent);
  EXPECT_FALSE(sample.pods[1].cpu_percent);
  EXPECT_EQ(sample.pods[1].memory_bytes, 3 * 1024 * kMiB);
  EXPECT_DOUBLE_EQ(sample.seconds, 2);
  // Time that stands still, counters that go back: no rate, no crash.
  sample = CompareUsage(At(2), At(2));
  EXPECT_FALSE(sample.pods[0].cpu_percent);
  sample = CompareUsage(At(4), At(2));
  EXPECT_FALSE(sample.pods[0].cpu_percent);
  EXPECT_FALSE(sample.pods[0].containers[0].throttled_percent);
}

TEST(TopTest, APodsLimitsAreItsContainersIfAllHaveOne) {
  PodUsageResponse after = At(2);
  EXPECT_EQ(CompareUsage({}, after).pods[0].memory_max_bytes, 96 * kMiB);
  auto* second = after.mutable_pods(0)->add_containers();
  second->set_id("second");
  second->mutable_usage()->set_memory_max_bytes(4 * kMiB);
  TopRow pod = CompareUsage({}, after).pods[0];
  EXPECT_EQ(pod.memory_max_bytes, 100 * kMiB);
  EXPECT_FALSE(pod.memory_high_bytes);
  EXPECT_FALSE(pod.cpu_limit_percent);
  after.mutable_pods(0)->mutable_usage()->set_memory_max_bytes(70 * kMiB);
  EXPECT_EQ(CompareUsage({}, after).pods[0].memory_max_bytes, 70 * kMiB);
}

TEST(TopTest, ColourSaysWhatToLookAt) {
  PodUsageResponse after = At(2);
  after.mutable_pods(0)->mutable_usage()->set_oom_kills(2);
  after.mutable_pods(0)->mutable_usage()->set_memory_bytes(95 * kMiB);
  const std::string text =
      RenderTop(CompareUsage(At(0), after), {}, {.color = true, .width = 100});
  EXPECT_THAT(text, HasSubstr("\033[33m  50\033[0m")) << "at its CPU limit";
  EXPECT_THAT(text, HasSubstr("\033[31m  90\033[0m")) << "held back";
  EXPECT_THAT(text, HasSubstr("\033[31m  95M\033[0m")) << "near memory.max";
  EXPECT_THAT(text, HasSubstr("\033[31m  42\033[0m")) << "waits for a CPU";
  EXPECT_THAT(text, HasSubstr("\033[31m   2\033[0m")) << "was killed";
  EXPECT_THAT(text, HasSubstr(" 250 ")) << "much, but nothing wrong";
}

TEST(TopTest, JsonSaysAllOfIt) {
  const auto root = nlohmann::json::parse(TopJson(Example(), TopSort::kName));
  EXPECT_EQ(root["seconds"], 2.0);
  ASSERT_EQ(root["pods"].size(), 2U);
  const auto& batch = root["pods"][0];
  EXPECT_EQ(batch["name"], "batch");
  EXPECT_EQ(batch["cpu"]["percent"], 250.0);
  EXPECT_TRUE(batch["cpu"]["limit_percent"].is_null());
  EXPECT_TRUE(batch["pressure"]["io"]["some_percent"].is_null());
  EXPECT_EQ(batch["pids"], 3);
  const auto& web = root["pods"][1];
  EXPECT_EQ(web["namespace"], "shop");
  EXPECT_EQ(web["pressure"]["cpu"]["some_percent"], 42.5);
  EXPECT_EQ(web["pressure"]["cpu"]["full_percent"], 21.25);
  const auto& server = web["containers"][0];
  EXPECT_EQ(server["name"], "server");
  EXPECT_EQ(server["cpu"]["limit_percent"], 50.0);
  EXPECT_EQ(server["cpu"]["throttled_percent"], 90.0);
  EXPECT_EQ(server["memory"]["high_bytes"], 64 * kMiB);
  EXPECT_EQ(server["memory"]["max_bytes"], 96 * kMiB);
  EXPECT_EQ(server["pids"], 11);
}

}  // namespace
}  // namespace pinion::tools
