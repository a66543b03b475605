#include "runtime/cpu/allocator.h"

#include <gtest/gtest.h>

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
