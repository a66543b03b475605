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

TEST(AllocatorTest, LeavesOutReservedCpusThatAreOffline) {
  Allocator cpus = Of(OneSocket(), "7-8");
  EXPECT_EQ(cpus.reserved(), Cpus("7"));
  EXPECT_EQ(cpus.Free(), Cpus("0-6"));
}

TEST(AllocatorTest, GivesOnlyWhatThePodsCgroupHas) {
  Allocator cpus = Of(OneSocket(), "0,4");
  const Request two = {.count = 2, .within = Cpus("0-1,5-6")};
  EXPECT_EQ(Granted(cpus.Allocate("a", two)), "1,5");
  EXPECT_EQ(cpus.Allocate("b", two).status().message(),
            "2 exclusive CPUs do not fit: 1 are free of those that the pod's "
            "cgroup can give (0-1,5-6); node 0: 6");
  const Request more = {.count = 4, .within = two.within};
  EXPECT_TRUE(absl::IsResourceExhausted(cpus.Resize("a", more).status()));
  EXPECT_EQ(Granted(cpus.Resize("a", {.count = 3, .within = two.within})),
            "1,5-6");
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
  EXPECT_FALSE(Allocator::Create(OneSocket(), Cpus("8-9")).ok());
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

// Random calls, and beside the allocator what must be true of it.
class RandomCalls {
 public:
  RandomCalls(Topology machine, uint32_t seed)
      : cpus_(Of(std::move(machine), "0")), random_(seed) {}

  void Step() {
    const std::string owner = std::to_string(random_() % kOwners);
    const bool had = cpus_.grants().count(owner) != 0;
    switch (random_() % 6) {
      case 0:
      case 1:
        cpus_.Release(owner);
        open_.erase(owner);
        break;
      case 2:
        cpus_.KeepResize(owner);
        open_.erase(owner);
        break;
      case 3:
        Undo(owner);
        break;
      default:
        had ? Resize(owner) : Allocate(owner);
    }
  }

  // No CPU twice, none of the reserved ones, the pool never empty; and what an
  // open resize has given back is nobody's yet.
  void RequireInvariants() const {
    CpuSet owned;
    for (const auto& [owner, grant] : cpus_.grants()) {
      ASSERT_FALSE(grant.cpus.empty());
      for (const CpuSet& part : {grant.cpus, grant.idle}) {
        for (const int cpu : part) {
          ASSERT_FALSE(owned.Contains(cpu)) << cpu << " is owned twice";
          ASSERT_FALSE(cpus_.reserved().Contains(cpu)) << cpu << " is reserved";
          owned.Add(cpu);
        }
      }
    }
    CpuSet held = owned;
    for (const auto& [owner, before] : open_) {
      const Grant& now = cpus_.grants().at(owner);
      CpuSet given_back = before.cpus | before.idle;
      given_back -= now.cpus;
      given_back -= now.idle;
      for (const int cpu : given_back) {
        ASSERT_FALSE(owned.Contains(cpu))
            << cpu << " may come back to " << owner;
        held.Add(cpu);
      }
    }
    ASSERT_FALSE(cpus_.Shared().empty());
    ASSERT_EQ(held.size() + cpus_.Shared().size(),
              cpus_.topology().all().size());
  }

  void ReleaseAll() {
    for (int i = 0; i < kOwners; ++i) cpus_.Release(std::to_string(i));
    EXPECT_EQ(cpus_.Shared(), cpus_.topology().all());
  }

  int open_resizes_seen() const { return open_resizes_seen_; }

 private:
  static constexpr int kOwners = 12;

  Request Any() {
    return {.count = 1 + random_() % 10,
            .numa = static_cast<NumaPolicy>(random_() % 3),
            .own_cores = random_() % 4 == 0};
  }

  void Allocate(const std::string& owner) {
    const Request request = Any();
    const size_t free = cpus_.Free().size();
    const auto grant = cpus_.Allocate(owner, request);
    if (grant.ok()) {
      ASSERT_EQ(grant->cpus.size(), request.count);
      ASSERT_EQ(cpus_.Free().size() + request.count + grant->idle.size(), free);
    } else if (!request.own_cores && request.numa != NumaPolicy::kSingleNode) {
      ASSERT_LT(free, request.count) << "refused what fits";
    }
  }

  void Resize(const std::string& owner) {
    const Request request = Any();
    const Grant before = cpus_.grants().at(owner);
    const auto resized = cpus_.Resize(owner, request);
    if (!resized.ok()) {
      ASSERT_EQ(cpus_.grants().at(owner), before);
      return;
    }
    ASSERT_EQ(resized->cpus.size(), request.count);
    ASSERT_EQ(resized->cpus.SizeOfBoth(before.cpus),
              std::min(before.cpus.size(), request.count));
    open_.emplace(owner, before);
    ++open_resizes_seen_;
  }

  void Undo(const std::string& owner) {
    cpus_.UndoResize(owner);
    const auto open = open_.find(owner);
    if (open == open_.end()) return;
    ASSERT_EQ(cpus_.grants().at(owner), open->second);
    open_.erase(open);
  }

  Allocator cpus_;
  std::mt19937 random_;
  // What owners in the middle of a resize had before.
  std::map<std::string, Grant> open_;
  int open_resizes_seen_ = 0;
};

// 3 machines x 350,000 steps.
TEST(AllocatorTest, KeepsItsPromisesThroughAMillionRandomSteps) {
  uint32_t seed = 20261122;
  for (const Topology& machine : {OneSocket(), TwoSockets(), FourNodes()}) {
    RandomCalls calls(machine, seed++);
    for (int step = 0; step < 350'000; ++step) {
      ASSERT_NO_FATAL_FAILURE(calls.Step()) << step;
      if (step % 8 != 0) continue;
      ASSERT_NO_FATAL_FAILURE(calls.RequireInvariants()) << step;
    }
    EXPECT_GT(calls.open_resizes_seen(), 1000);
    calls.ReleaseAll();
  }
}

}  // namespace
}  // namespace pinion::cpu
