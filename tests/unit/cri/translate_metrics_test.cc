#include "cri/translate_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/unit/cri/usage_cases.h"

namespace pinion::cri {
namespace {

using testing::Contains;
using testing::Not;

// Names of cri_contract.md, as it writes them: with braces.
std::set<std::string> ContractNames() {
  std::set<std::string> names;
  const auto add = [&names](const std::string& prefix,
                            const std::vector<std::string>& middles,
                            const std::string& suffix = "") {
    for (const auto& middle : middles) {
      names.insert("container_" + prefix + middle + suffix);
    }
  };
  add("cpu_", {"usage", "user", "system"}, "_seconds_total");
  add("cpu_cfs_", {"periods", "throttled_periods", "throttled_seconds"},
      "_total");
  add("memory_", {"cache", "rss", "kernel_usage", "mapped_file", "swap",
                  "failcnt", "usage_bytes", "max_usage_bytes",
                  "working_set_bytes", "failures_total"});
  add("oom_events_total", {""});
  for (const char* direction : {"receive", "transmit"}) {
    add(absl::StrCat("network_", direction, "_"),
        {"bytes", "packets", "packets_dropped", "errors"}, "_total");
  }
  add("fs_", {"inodes_free", "inodes_total", "limit_bytes", "usage_bytes",
              "reads_total", "reads_bytes_total", "writes_total",
              "writes_bytes_total"});
  add("blkio_device_usage_total", {""});
  add("hugetlb_", {"usage", "max_usage"}, "_bytes");
  for (const char* resource : {"cpu", "memory", "io"}) {
    add(absl::StrCat("pressure_", resource, "_"), {"stalled", "waiting"},
        "_seconds_total");
  }
  add("", {"processes", "threads", "threads_max", "file_descriptors", "sockets",
           "ulimits_soft"});
  add("spec_", {"cpu_period", "cpu_quota", "cpu_shares", "memory_limit_bytes",
                "memory_reservation_limit_bytes", "memory_swap_limit_bytes"});
  add("", {"start_time_seconds", "last_seen"});
  return names;
}

std::map<std::string, api::MetricDescriptor> Descriptors() {
  api::ListMetricDescriptorsResponse response;
  ToMetricDescriptors(&response);
  std::map<std::string, api::MetricDescriptor> descriptors;
  for (const auto& one : response.descriptors()) {
    EXPECT_TRUE(descriptors.emplace(one.name(), one).second)
        << one.name() << " comes twice";
  }
  return descriptors;
}

// "name{its own labels}" → value; checks the common labels.
template <typename Metrics>
std::map<std::string, uint64_t> Values(const Metrics& metrics,
                                       const std::vector<std::string>& common) {
  const auto descriptors = Descriptors();
  std::map<std::string, uint64_t> values;
  for (const api::Metric& metric : metrics) {
    const auto descriptor = descriptors.find(metric.name());
    if (descriptor == descriptors.end()) {
      ADD_FAILURE() << metric.name() << " is described nowhere";
      continue;
    }
    // The kubelet drops a metric with another number of labels.
    EXPECT_EQ(metric.label_values_size(), descriptor->second.label_keys_size())
        << metric.name();
    const auto first = metric.label_values().begin();
    EXPECT_EQ(std::vector<std::string>(first, first + 6), common);
    EXPECT_EQ(metric.timestamp(), 0);
    const std::vector<std::string> own(first + 6, metric.label_values().end());
    EXPECT_TRUE(values
                    .emplace(metric.name().substr(10) + "{" +
                                 absl::StrJoin(own, ",") + "}",
                             metric.value().value())
                    .second)
        << metric.name() << " comes twice with the same labels";
  }
  return values;
}

TEST(TranslateMetricsTest, DescribesThe56OfTheContract) {
  std::set<std::string> names;
  for (const auto& [name, descriptor] : Descriptors()) {
    names.insert(name);
    EXPECT_FALSE(descriptor.help().empty()) << name;
    const std::vector<std::string> keys(descriptor.label_keys().begin(),
                                        descriptor.label_keys().end());
    ASSERT_GE(keys.size(), 6U);
    EXPECT_EQ(std::vector<std::string>(keys.begin(), keys.begin() + 6),
              (std::vector<std::string>{"container", "id", "image", "name",
                                        "namespace", "pod"}));
    EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(),
              keys.size())
        << name;
  }
  EXPECT_EQ(names.size(), 56U);
  EXPECT_EQ(names, ContractNames());
}

TEST(TranslateMetricsTest, AContainerHasTheValueOfEveryFile) {
  api::PodSandboxMetrics metrics;
  ToPodSandboxMetrics(FullPod(), &metrics);
  EXPECT_EQ(metrics.pod_sandbox_id(), std::string(64, 'a'));
  ASSERT_EQ(metrics.container_metrics_size(), 1);
  EXPECT_EQ(metrics.container_metrics(0).container_id(), std::string(64, 'c'));
  const auto values =
      Values(metrics.container_metrics(0).metrics(),
             {"server", "/kubepods/pinion-a/c", "registry.test/web@sha256:1",
              std::string(64, 'c'), "shop", "web-0"});
  const std::map<std::string, uint64_t> want = {
      {"cpu_usage_seconds_total{total}", 9},
      {"cpu_user_seconds_total{}", 6},
      {"cpu_system_seconds_total{}", 3},
      {"cpu_cfs_periods_total{}", 93},
      {"cpu_cfs_throttled_periods_total{}", 41},
      {"cpu_cfs_throttled_seconds_total{}", 2},
      {"memory_cache{}", 1056768},
      {"memory_rss{}", 544768},
      {"memory_kernel_usage{}", 307200},
      {"memory_mapped_file{}", 811008},
      {"memory_swap{}", 4096},
      {"memory_failcnt{}", 127},
      {"memory_usage_bytes{}", 100000},
      {"memory_max_usage_bytes{}", 123456},
      {"memory_working_set_bytes{}", 60000},
      {"memory_failures_total{pgfault,container}", 1911},
      {"memory_failures_total{pgfault,hierarchy}", 1911},
      {"memory_failures_total{pgmajfault,container}", 14},
      {"memory_failures_total{pgmajfault,hierarchy}", 14},
      {"oom_events_total{}", 2},
      {"fs_inodes_free{/dev/vda1}", 33},
      {"fs_inodes_total{/dev/vda1}", 32},
      {"fs_limit_bytes{/dev/vda1}", 31},
      {"fs_usage_bytes{/dev/vda1}", 8192},
      {"fs_reads_total{/dev/vda1}", 1003},
      {"fs_reads_bytes_total{/dev/vda1}", 1001},
      {"fs_writes_total{/dev/vda1}", 1004},
      {"fs_writes_bytes_total{/dev/vda1}", 1002},
      {"blkio_device_usage_total{/dev/vda1,254,1,Read}", 1001},
      {"blkio_device_usage_total{/dev/vda1,254,1,Write}", 1002},
      {"blkio_device_usage_total{/dev/vda1,254,1,Discard}", 1005},
      {"hugetlb_usage_bytes{2MB}", 2097152},
      {"hugetlb_max_usage_bytes{2MB}", 4194304},
      {"pressure_cpu_waiting_seconds_total{}", 11},
      {"pressure_cpu_stalled_seconds_total{}", 12},
      {"pressure_memory_waiting_seconds_total{}", 13},
      {"pressure_memory_stalled_seconds_total{}", 14},
      {"pressure_io_waiting_seconds_total{}", 15},
      {"pressure_io_stalled_seconds_total{}", 16},
      {"processes{}", 3},
      {"threads{}", 17},
      {"threads_max{}", 1700},
      {"file_descriptors{}", 21},
      {"sockets{}", 22},
      {"ulimits_soft{max_open_files}", 1024},
      {"spec_cpu_period{}", 100000},
      {"spec_cpu_quota{}", 20000},
      {"spec_cpu_shares{}", 998},
      {"spec_memory_limit_bytes{}", 500000},
      {"spec_memory_reservation_limit_bytes{}", 65536},
      {"spec_memory_swap_limit_bytes{}", 12288},
      {"start_time_seconds{}", 1'700'000'000},
      {"last_seen{}", 1'800'000'000}};
  EXPECT_EQ(values, want);
}

TEST(TranslateMetricsTest, APodHasItsCgroupAndItsNetwork) {
  api::PodSandboxMetrics metrics;
  ToPodSandboxMetrics(FullPod(), &metrics);
  const auto values = Values(
      metrics.metrics(), {"", "/kubepods/pinion-a", "", "", "shop", "web-0"});
  EXPECT_EQ(values.at("network_receive_bytes_total{eth0}"), 51U);
  EXPECT_EQ(values.at("network_receive_packets_total{eth0}"), 52U);
  EXPECT_EQ(values.at("network_receive_errors_total{eth0}"), 53U);
  EXPECT_EQ(values.at("network_receive_packets_dropped_total{eth0}"), 54U);
  EXPECT_EQ(values.at("network_transmit_bytes_total{eth0}"), 55U);
  EXPECT_EQ(values.at("network_transmit_packets_total{eth0}"), 56U);
  EXPECT_EQ(values.at("network_transmit_errors_total{eth0}"), 57U);
  EXPECT_EQ(values.at("network_transmit_packets_dropped_total{eth0}"), 58U);
  EXPECT_EQ(values.at("network_receive_bytes_total{net1}"), 1U);
  EXPECT_EQ(values.at("cpu_usage_seconds_total{total}"), 9U);
  EXPECT_EQ(values.at("start_time_seconds{}"), 1'600'000'000U);
  EXPECT_THAT(values, Not(Contains(testing::Key("fs_limit_bytes{/dev/vda1}"))));
}

TEST(TranslateMetricsTest, EveryDescriptorHasAValueSomewhere) {
  api::PodSandboxMetrics metrics;
  ToPodSandboxMetrics(FullPod(), &metrics);
  std::set<std::string> seen;
  for (const auto& one : metrics.metrics()) seen.insert(one.name());
  for (const auto& one : metrics.container_metrics(0).metrics()) {
    seen.insert(one.name());
  }
  EXPECT_EQ(seen, ContractNames());
}

TEST(TranslateMetricsTest, WhatNoFileSaysIsLeftOut) {
  runtime::PodUsage usage = FullPod();
  runtime::ContainerUsage& container = usage.containers[0];
  container.cgroup = runtime::CgroupUsage();
  container.cgroup->details.emplace();
  container.processes.reset();
  container.filesystem.reset();
  container.huge_page_peaks.clear();
  api::PodSandboxMetrics metrics;
  ToPodSandboxMetrics(usage, &metrics);
  std::set<std::string> names;
  for (const auto& one : metrics.container_metrics(0).metrics()) {
    names.insert(one.name());
  }
  EXPECT_EQ(names, (std::set<std::string>{"container_processes",
                                          "container_start_time_seconds",
                                          "container_last_seen"}));
}

TEST(TranslateMetricsTest, NoLimitIsZeroAndNoQuotaIsLeftOut) {
  runtime::PodUsage usage = FullPod();
  runtime::CgroupUsage& cgroup = *usage.containers[0].cgroup;
  cgroup.usage.memory_max = cgroup::kNoLimit;
  cgroup.details->threads_max = cgroup::kNoLimit;
  cgroup.details->cpu_max = cgroup::ParseCpuMax("max 100000\n");
  api::PodSandboxMetrics metrics;
  ToPodSandboxMetrics(usage, &metrics);
  std::map<std::string, uint64_t> values;
  for (const auto& one : metrics.container_metrics(0).metrics()) {
    values[one.name()] = one.value().value();
  }
  EXPECT_EQ(values.at("container_spec_memory_limit_bytes"), 0U);
  EXPECT_EQ(values.at("container_threads_max"), 0U);
  EXPECT_EQ(values.count("container_spec_cpu_quota"), 0U);
}

TEST(TranslateMetricsTest, AContainerThatDoesNotRunHasNone) {
  runtime::PodUsage usage = FullPod();
  usage.containers[0].cgroup.reset();
  api::PodSandboxMetrics metrics;
  ToPodSandboxMetrics(usage, &metrics);
  EXPECT_EQ(metrics.container_metrics_size(), 0);
}

}  // namespace
}  // namespace pinion::cri
