#include "cri/translate_stats.h"

#include <gtest/gtest.h>

#include "tests/unit/cri/usage_cases.h"

namespace pinion::cri {
namespace {

TEST(TranslateStatsTest, AContainerHasEveryFieldOfLinux) {
  api::ContainerStats stats;
  const runtime::ContainerUsage usage = FullContainer();
  ToContainerStats(usage, &stats);
  EXPECT_EQ(stats.attributes().id(), std::string(64, 'c'));
  EXPECT_EQ(stats.attributes().metadata().name(), "server");
  EXPECT_EQ(stats.attributes().metadata().attempt(), 2U);
  EXPECT_EQ(stats.attributes().labels().at("app"), "web");
  EXPECT_EQ(stats.attributes().annotations().at("note"), "n");
  EXPECT_EQ(stats.cpu().timestamp(), usage.read_at_ns);
  EXPECT_EQ(stats.cpu().usage_core_nano_seconds().value(), 9'000'000'000U);
  EXPECT_EQ(stats.cpu().usage_nano_cores().value(), 250'000'000U);
  EXPECT_EQ(stats.cpu().psi().some().total(), 11'000'000'000U);
  EXPECT_DOUBLE_EQ(stats.cpu().psi().some().avg10(), 1.5);
  EXPECT_DOUBLE_EQ(stats.cpu().psi().some().avg60(), 0.33);
  EXPECT_DOUBLE_EQ(stats.cpu().psi().some().avg300(), 0.07);
  EXPECT_EQ(stats.cpu().psi().full().total(), 12'000'000'000U);
  EXPECT_EQ(stats.memory().timestamp(), usage.read_at_ns);
  EXPECT_EQ(stats.memory().working_set_bytes().value(), 60000U);
  EXPECT_EQ(stats.memory().available_bytes().value(), 440000U);
  EXPECT_EQ(stats.memory().usage_bytes().value(), 100000U);
  EXPECT_EQ(stats.memory().rss_bytes().value(), 544768U);
  EXPECT_EQ(stats.memory().page_faults().value(), 1911U);
  EXPECT_EQ(stats.memory().major_page_faults().value(), 14U);
  EXPECT_EQ(stats.memory().psi().full().total(), 14'000'000'000U);
  EXPECT_EQ(stats.swap().timestamp(), usage.read_at_ns);
  EXPECT_EQ(stats.swap().swap_usage_bytes().value(), 4096U);
  EXPECT_EQ(stats.swap().swap_available_bytes().value(), 8192U);
  EXPECT_EQ(stats.io().psi().some().total(), 15'000'000'000U);
  EXPECT_EQ(stats.writable_layer().timestamp(), usage.writable->read_at_ns);
  EXPECT_EQ(stats.writable_layer().used_bytes().value(), 8192U);
  EXPECT_EQ(stats.writable_layer().inodes_used().value(), 3U);
  EXPECT_EQ(stats.writable_layer().fs_id().mountpoint(),
            "/var/lib/pinion/containers");
}

TEST(TranslateStatsTest, WhatNobodyCountedIsUnset) {
  runtime::ContainerUsage usage = FullContainer();
  usage.cgroup = runtime::CgroupUsage();
  usage.writable.reset();
  api::ContainerStats stats;
  ToContainerStats(usage, &stats);
  EXPECT_TRUE(stats.has_cpu());
  EXPECT_FALSE(stats.cpu().has_usage_core_nano_seconds());
  EXPECT_FALSE(stats.cpu().has_usage_nano_cores());
  EXPECT_FALSE(stats.cpu().has_psi());
  EXPECT_FALSE(stats.has_memory());
  EXPECT_FALSE(stats.has_swap());
  EXPECT_FALSE(stats.has_io());
  EXPECT_FALSE(stats.has_writable_layer());
}

TEST(TranslateStatsTest, AContainerThatDoesNotRunHasItsLayerOnly) {
  runtime::ContainerUsage usage = FullContainer();
  usage.cgroup.reset();
  api::ContainerStats stats;
  ToContainerStats(usage, &stats);
  EXPECT_FALSE(stats.has_cpu());
  EXPECT_FALSE(stats.has_memory());
  EXPECT_TRUE(stats.has_writable_layer());
}

TEST(TranslateStatsTest, WithoutALimitNothingIsAvailable) {
  runtime::ContainerUsage usage = FullContainer();
  usage.cgroup->usage.memory_max = cgroup::kNoLimit;
  usage.cgroup->usage.swap_max = cgroup::kNoLimit;
  api::ContainerStats stats;
  ToContainerStats(usage, &stats);
  EXPECT_FALSE(stats.memory().has_available_bytes());
  EXPECT_FALSE(stats.swap().has_swap_available_bytes());
}

TEST(TranslateStatsTest, MoreInUseThanTheLimitLeavesZero) {
  runtime::ContainerUsage usage = FullContainer();
  usage.cgroup->usage.memory_max = 10;
  api::ContainerStats stats;
  ToContainerStats(usage, &stats);
  ASSERT_TRUE(stats.memory().has_available_bytes());
  EXPECT_EQ(stats.memory().available_bytes().value(), 0U);
}

TEST(TranslateStatsTest, APodHasItsNetworkProcessesAndContainers) {
  api::PodSandboxStats stats;
  ToPodSandboxStats(FullPod(), &stats);
  EXPECT_EQ(stats.attributes().metadata().namespace_(), "shop");
  EXPECT_EQ(stats.attributes().metadata().uid(), "uid");
  const api::LinuxPodSandboxStats& linux = stats.linux();
  EXPECT_EQ(linux.cpu().usage_core_nano_seconds().value(), 9'000'000'000U);
  EXPECT_EQ(linux.memory().usage_bytes().value(), 100000U);
  EXPECT_EQ(linux.io().psi().some().total(), 15'000'000'000U);
  EXPECT_EQ(linux.process().process_count().value(), 3U);
  EXPECT_EQ(linux.network().default_interface().name(), "eth0");
  EXPECT_EQ(linux.network().default_interface().rx_bytes().value(), 51U);
  EXPECT_EQ(linux.network().default_interface().rx_errors().value(), 53U);
  EXPECT_EQ(linux.network().default_interface().tx_bytes().value(), 55U);
  EXPECT_EQ(linux.network().default_interface().tx_errors().value(), 57U);
  ASSERT_EQ(linux.network().interfaces_size(), 1);
  EXPECT_EQ(linux.network().interfaces(0).name(), "net1");
  ASSERT_EQ(linux.containers_size(), 1);
  EXPECT_EQ(linux.containers(0).attributes().metadata().name(), "server");
}

TEST(TranslateStatsTest, APodOnTheNodesNetworkHasNoneOfItsOwn) {
  runtime::PodUsage usage = FullPod();
  usage.interfaces.reset();
  api::PodSandboxStats stats;
  ToPodSandboxStats(usage, &stats);
  EXPECT_FALSE(stats.linux().has_network());
}

TEST(TranslateStatsTest, AnInterfaceNameIsText) {
  EXPECT_EQ(InterfaceName("eth0"), "eth0");
  EXPECT_EQ(InterfaceName("a\xff\n"), "a??");
}

TEST(TranslateStatsTest, FiltersByIdPrefixPodAndLabels) {
  const auto container = FullContainer().container;
  api::ContainerStatsFilter filter;
  EXPECT_TRUE(Matches(filter, *container));
  filter.set_id("ccc");
  filter.set_pod_sandbox_id("aaa");
  (*filter.mutable_label_selector())["app"] = "web";
  EXPECT_TRUE(Matches(filter, *container));
  filter.set_pod_sandbox_id("b");
  EXPECT_FALSE(Matches(filter, *container));
  filter.clear_pod_sandbox_id();
  (*filter.mutable_label_selector())["app"] = "db";
  EXPECT_FALSE(Matches(filter, *container));
  api::PodSandboxStatsFilter pods;
  pods.set_id("aa");
  EXPECT_TRUE(Matches(pods, *FullPod().pod));
  (*pods.mutable_label_selector())["x"] = "y";
  EXPECT_FALSE(Matches(pods, *FullPod().pod));
}

}  // namespace
}  // namespace pinion::cri
