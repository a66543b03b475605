#include "runtime/update_resources.h"

#include <gtest/gtest.h>

namespace pinion::runtime {
namespace {

state::Resources Full() {
  state::Resources all;
  all.set_cpu_period_us(100000);
  all.set_cpu_quota_us(50000);
  all.set_cpu_shares(512);
  all.set_memory_limit_bytes(1000);
  all.set_memory_swap_limit_bytes(1500);
  all.set_oom_score_adj(500);
  all.set_cpuset_cpus("0-1");
  all.set_cpuset_mems("0");
  auto* limit = all.add_hugepage_limits();
  limit->set_page_size("2MB");
  limit->set_limit_bytes(4096);
  (*all.mutable_unified())["memory.high"] = "900";
  return all;
}

TEST(MergeTest, WhatIsNotSetStays) {
  EXPECT_EQ(Merge(Full(), {}).SerializeAsString(), Full().SerializeAsString());
}

TEST(MergeTest, WhatIsSetReplaces) {
  state::Resources changes;
  changes.set_cpu_quota_us(-1);
  changes.set_cpuset_cpus("3");
  changes.set_oom_score_adj(-5);
  auto* limit = changes.add_hugepage_limits();
  limit->set_page_size("2MB");
  limit->set_limit_bytes(8192);
  limit = changes.add_hugepage_limits();
  limit->set_page_size("1GB");
  (*changes.mutable_unified())["memory.low"] = "1";
  const state::Resources merged = Merge(Full(), changes);
  EXPECT_EQ(merged.cpu_quota_us(), -1);
  EXPECT_EQ(merged.cpu_period_us(), 100000);
  EXPECT_EQ(merged.cpuset_cpus(), "3");
  EXPECT_EQ(merged.oom_score_adj(), -5);
  ASSERT_EQ(merged.hugepage_limits_size(), 2);
  EXPECT_EQ(merged.hugepage_limits(0).limit_bytes(), 8192U);
  EXPECT_EQ(merged.hugepage_limits(1).page_size(), "1GB");
  EXPECT_EQ(merged.unified().at("memory.high"), "900");
  EXPECT_EQ(merged.unified().at("memory.low"), "1");
}

TEST(MergeTest, AMemoryLimitAloneLeavesTheSwapBesideIt) {
  state::Resources changes;
  changes.set_memory_limit_bytes(4000);
  EXPECT_EQ(Merge(Full(), changes).memory_swap_limit_bytes(), 4500);
  changes.set_memory_limit_bytes(INT64_MAX - 10);
  EXPECT_EQ(Merge(Full(), changes).memory_swap_limit_bytes(), INT64_MAX);
}

TEST(MergeTest, WithoutAMemoryLimitThereIsNoSwapLimit) {
  state::Resources changes;
  changes.set_memory_limit_bytes(-1);
  EXPECT_EQ(Merge(Full(), changes).memory_swap_limit_bytes(), -1);
  state::Resources now;
  now.set_memory_limit_bytes(1000);
  EXPECT_EQ(Merge(now, changes).memory_swap_limit_bytes(), 0);
}

TEST(MergeTest, WithoutASwapLimitNoneAppears) {
  state::Resources now;
  now.set_memory_limit_bytes(1000);
  state::Resources changes;
  changes.set_memory_limit_bytes(4000);
  EXPECT_EQ(Merge(now, changes).memory_swap_limit_bytes(), 0);
  now.set_memory_swap_limit_bytes(-1);
  EXPECT_EQ(Merge(now, changes).memory_swap_limit_bytes(), -1);
}

}  // namespace
}  // namespace pinion::runtime
