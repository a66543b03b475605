#include "runtime/cpu/allocator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "tests/unit/runtime/cpu/topologies.h"

namespace pinion::cpu {
namespace {

Allocator Of(Topology topology, std::string_view reserved) {
  return *Allocator::Create(std::move(topology), Cpus(reserved));
}

std::string Granted(const absl::StatusOr<Grant>& grant) {
  return grant.ok() ? grant->cpus.ToString() : grant.status().ToString();
}

TEST(AllocatorTest, GivesWholeCoresAndShrinksTheSharedPool) {
  Allocator cpus = Of(OneSocket(), "0,4");
  EXPECT_EQ(Granted(cpus.Allocate("a", {.count = 2})), "1,5");
  EXPECT_EQ(cpus.Shared().ToString(), "0,2-4,6-7");
  cpus.Release("a");
  EXPECT_EQ(cpus.Shared().ToString(), "0-7");
}

TEST(AllocatorTest, AnswersARetryWithTheSameGrant) {
  Allocator cpus = Of(OneSocket(), "0");
  const auto first = cpus.Allocate("a", {.count = 3});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(*cpus.Allocate("a", {.count = 3}), *first);
  EXPECT_EQ(cpus.grants().size(), 1u);
}

TEST(AllocatorTest, NeverGivesReservedCpusAway) {
  Allocator cpus = Of(OneSocket(), "0");
  EXPECT_EQ(Granted(cpus.Allocate("a", {.count = 7})), "1-7");
  const auto refused = cpus.Allocate("b", {.count = 1});
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status()));
  EXPECT_EQ(refused.status().message(),
            "1 exclusive CPUs do not fit: 0 are free");
  EXPECT_EQ(cpus.Shared().ToString(), "0");
}

TEST(AllocatorTest, KeepsARequestOnOneNodeWhereItFits) {
  Allocator cpus = Of(TwoSockets(), "0,6");
  // The node with the least room that is enough.
  EXPECT_EQ(Granted(cpus.Allocate("a", {.count = 4})), "2,4,8,10");
  EXPECT_EQ(cpus.grants().at("a").nodes.ToString(), "0");
  EXPECT_EQ(Granted(cpus.Allocate("b", {.count = 6})), "1,3,5,7,9,11");
}

TEST(AllocatorTest, SpansNodesOnlyIfThePolicyAllowsIt) {
  Allocator cpus = Of(TwoSockets(), "0,6");
  const auto single =
      cpus.Allocate("a", {.count = 8, .numa = NumaPolicy::kSingleNode});
  EXPECT_EQ(single.status().message(),
            "8 exclusive CPUs on one NUMA node do not fit: 10 are free; node "
            "0: 2,4,8,10; node 1: 1,3,5,7,9,11");
  EXPECT_TRUE(cpus.grants().empty());
  const auto spread = cpus.Allocate("a", {.count = 8});
  EXPECT_EQ(Granted(spread), "1-3,5,7-9,11");
  EXPECT_EQ(spread->nodes.ToString(), "0-1");
}

TEST(AllocatorTest, TakesTheNodeThatIsAskedFor) {
  Allocator cpus = Of(TwoSockets(), "0");
  EXPECT_EQ(Granted(cpus.Allocate("a", {.count = 2, .node = 1})), "1,7");
  EXPECT_TRUE(absl::IsInvalidArgument(
      cpus.Allocate("b", {.count = 1, .node = 2}).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(
      cpus.Allocate("b", {.count = 5, .node = 1}).status()));
}

TEST(AllocatorTest, LeavesTheSiblingsOfOwnCoresIdle) {
  Allocator cpus = Of(OneSocket(), "0,4");
  const auto grant = cpus.Allocate("a", {.count = 3, .own_cores = true});
  EXPECT_EQ(Granted(grant), "1-2,5");
  EXPECT_EQ(grant->idle.ToString(), "6");
  EXPECT_EQ(cpus.Shared().ToString(), "0,3-4,7");
  // One core is left: three CPUs on own cores do not fit.
  EXPECT_FALSE(cpus.Allocate("b", {.count = 3, .own_cores = true}).ok());
}

TEST(AllocatorTest, RefusesWhatIsNoRequest) {
  Allocator cpus = Of(OneSocket(), "0");
  EXPECT_TRUE(
      absl::IsInvalidArgument(cpus.Allocate("a", {.count = 0}).status()));
  EXPECT_FALSE(Allocator::Create(OneSocket(), CpuSet()).ok());
  EXPECT_FALSE(Allocator::Create(OneSocket(), Cpus("7-8")).ok());
}

TEST(AllocatorTest, RestoresWhatDoesNotContradict) {
  Allocator cpus = Of(OneSocket(), "0,4");
  EXPECT_TRUE(cpus.Restore("a", {Cpus("1"), Cpus("5"), {}}).ok());
  EXPECT_EQ(cpus.grants().at("a").nodes.ToString(), "0");
  EXPECT_FALSE(cpus.Restore("a", {Cpus("2"), {}, {}}).ok());
  EXPECT_FALSE(cpus.Restore("b", {Cpus("5"), {}, {}}).ok());
  EXPECT_FALSE(cpus.Restore("b", {Cpus("0"), {}, {}}).ok());
  EXPECT_FALSE(cpus.Restore("b", {Cpus("9"), {}, {}}).ok());
  EXPECT_FALSE(cpus.Restore("b", {Cpus("2"), Cpus("2"), {}}).ok());
  EXPECT_FALSE(cpus.Restore("b", {CpuSet(), {}, {}}).ok());
  EXPECT_EQ(cpus.grants().size(), 1u);
}

TEST(AllocatorTest, GrowsKeepingWhatThereIs) {
  Allocator cpus = Of(OneSocket(), "0,4");
  EXPECT_EQ(Granted(cpus.Allocate("a", {.count = 1})), "1");
  EXPECT_EQ(Granted(cpus.Allocate("b", {.count = 2})), "2,6");
  // The sibling of what it has, then another core.
  EXPECT_EQ(Granted(cpus.Resize("a", {.count = 2})), "1,5");
  cpus.KeepResize("a");
  EXPECT_EQ(Granted(cpus.Resize("a", {.count = 4})), "1,3,5,7");
  cpus.KeepResize("a");
  const auto refused = cpus.Resize("a", {.count = 6});
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status()));
  EXPECT_EQ(refused.status().message(),
            "2 more exclusive CPUs do not fit: 0 are free");
  EXPECT_EQ(cpus.grants().at("a").cpus, Cpus("1,3,5,7"));
  EXPECT_TRUE(absl::IsNotFound(cpus.Resize("c", {.count = 1}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(cpus.Resize("a", {}).status()));
}

TEST(AllocatorTest, WhatIsGivenBackIsNobodysUntilTheResizeIsKept) {
  Allocator cpus = Of(OneSocket(), "0,4");
  ASSERT_TRUE(cpus.Allocate("a", {.count = 6}).ok());
  EXPECT_EQ(Granted(cpus.Resize("a", {.count = 2})), "1,5");
  EXPECT_FALSE(cpus.Allocate("b", {.count = 1}).ok());
  EXPECT_EQ(cpus.Shared(), Cpus("0,4"));
  cpus.UndoResize("a");
  EXPECT_EQ(cpus.grants().at("a").cpus, Cpus("1-3,5-7"));
  cpus.UndoResize("a");
  ASSERT_TRUE(cpus.Resize("a", {.count = 2}).ok());
  cpus.KeepResize("a");
  EXPECT_EQ(Granted(cpus.Allocate("b", {.count = 4})), "2-3,6-7");
  ASSERT_TRUE(cpus.Resize("a", {.count = 1}).ok());
  cpus.Release("a");
  EXPECT_EQ(cpus.Free(), Cpus("1,5"));
}

TEST(AllocatorTest, ResizesWithinTheNode) {
  const Request two = {.count = 2, .numa = NumaPolicy::kSingleNode};
  const Request six = {.count = 6, .numa = NumaPolicy::kSingleNode};
  const Request eight = {.count = 8, .numa = NumaPolicy::kSingleNode};
  Allocator cpus = Of(TwoSockets(), "0,6");
  ASSERT_TRUE(cpus.Allocate("x", {.count = 4, .node = 0}).ok());
  EXPECT_EQ(Granted(cpus.Allocate("a", two)), "1,7");
  EXPECT_EQ(Granted(cpus.Resize("a", six)), "1,3,5,7,9,11");
  cpus.KeepResize("a");
  cpus.Release("x");
  EXPECT_TRUE(absl::IsResourceExhausted(cpus.Resize("a", eight).status()));
  EXPECT_EQ(Granted(cpus.Resize("a", {.count = 8})), "1-3,5,7-9,11");
  EXPECT_EQ(cpus.grants().at("a").nodes, Cpus("0-1"));
  cpus.KeepResize("a");
  // One node is enough again.
  EXPECT_EQ(Granted(cpus.Resize("a", {.count = 1})), "1");
  cpus.UndoResize("a");
  EXPECT_EQ(Granted(cpus.Resize("a", {.count = 4})), "1,3,7,9");
}

TEST(AllocatorTest, ResizesOwnCores) {
  Allocator cpus = Of(OneSocket(), "0,4");
  const auto own = [](size_t count) {
    return Request{.count = count, .own_cores = true};
  };
  ASSERT_TRUE(cpus.Allocate("a", own(1)).ok());
  EXPECT_EQ(Granted(cpus.Resize("a", own(2))), "1,5");
  cpus.KeepResize("a");
  const auto three = cpus.Resize("a", own(3));
  EXPECT_EQ(Granted(three), "1-2,5");
  EXPECT_EQ(three->idle, Cpus("6"));
  cpus.KeepResize("a");
  const auto one = cpus.Resize("a", own(1));
  EXPECT_EQ(Granted(one), "2");
  EXPECT_EQ(one->idle, Cpus("6"));
  cpus.KeepResize("a");
  EXPECT_EQ(cpus.Free(), Cpus("1,3,5,7"));
}

void RequireInvariants(const Allocator& cpus) {
  CpuSet seen;
  for (const auto& [owner, grant] : cpus.grants()) {
    ASSERT_FALSE(grant.cpus.empty());
    for (const CpuSet& part : {grant.cpus, grant.idle}) {
      for (const int cpu : part) {
        ASSERT_FALSE(seen.Contains(cpu)) << cpu << " is owned twice";
        ASSERT_FALSE(cpus.reserved().Contains(cpu)) << cpu << " is reserved";
        seen.Add(cpu);
      }
    }
  }
  ASSERT_FALSE(cpus.Shared().empty());
  ASSERT_EQ(seen.size() + cpus.Shared().size(), cpus.topology().all().size());
}

// 3 machines x 350,000 steps.
TEST(AllocatorTest, KeepsItsPromisesThroughAMillionRandomSteps) {
  std::mt19937 random(20261122);
  for (Topology machine : {OneSocket(), TwoSockets(), FourNodes()}) {
    Allocator cpus = Of(std::move(machine), "0");
    for (int step = 0; step < 350'000; ++step) {
      const std::string owner = std::to_string(random() % 12);
      if (random() % 2 == 0) {
        cpus.Release(owner);
        continue;
      }
      Request request;
      request.count = 1 + random() % 10;
      request.numa = static_cast<NumaPolicy>(random() % 3);
      request.own_cores = random() % 4 == 0;
      const bool had = cpus.grants().count(owner) != 0;
      const size_t free = cpus.Free().size();
      if (had && random() % 2 == 0) {
        const CpuSet before = cpus.grants().at(owner).cpus;
        const auto resized = cpus.Resize(owner, request);
        if (!resized.ok()) {
          ASSERT_EQ(cpus.grants().at(owner).cpus, before);
          continue;
        }
        ASSERT_EQ(resized->cpus.size(), request.count);
        ASSERT_EQ(resized->cpus.SizeOfBoth(before),
                  std::min(before.size(), request.count));
        if (random() % 2 == 0) {
          cpus.KeepResize(owner);
        } else {
          cpus.UndoResize(owner);
          ASSERT_EQ(cpus.Free().size(), free);
        }
        continue;
      }
      const auto grant = cpus.Allocate(owner, request);
      if (had) continue;
      if (grant.ok()) {
        ASSERT_EQ(grant->cpus.size(), request.count);
        ASSERT_EQ(cpus.Free().size() + request.count + grant->idle.size(),
                  free);
      } else if (!request.own_cores &&
                 request.numa != NumaPolicy::kSingleNode) {
        ASSERT_LT(free, request.count) << "refused what fits";
      }
      if (step % 64 == 0) RequireInvariants(cpus);
    }
    RequireInvariants(cpus);
    for (int owner = 0; owner < 12; ++owner) {
      cpus.Release(std::to_string(owner));
    }
    EXPECT_EQ(cpus.Shared(), cpus.topology().all());
  }
}

}  // namespace
}  // namespace pinion::cpu
