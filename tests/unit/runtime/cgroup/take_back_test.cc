#include "runtime/cgroup/take_back.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/support/fake_clock.h"

namespace pinion::cgroup {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

class TakeBackTest : public testing::Test {
 protected:
  // A cgroup of which `reclaimable` bytes can be taken, each step in `time`.
  absl::StatusOr<uint64_t> Take(uint64_t limit, uint64_t reclaimable,
                                std::chrono::milliseconds time) {
    return TakeBack(
        usage_, limit,
        [&, time](uint64_t bytes) -> absl::StatusOr<uint64_t> {
          steps_.push_back(bytes);
          clock_.Advance(time);
          const uint64_t taken = std::min(bytes, reclaimable);
          reclaimable -= taken;
          usage_ -= taken;
          return usage_;
        },
        clock_);
  }

  testing_support::FakeClock clock_;
  uint64_t usage_ = 100 * kMiB;
  std::vector<uint64_t> steps_;
};

TEST_F(TakeBackTest, TakesWhatIsTooMuchInSteps) {
  EXPECT_EQ(*Take(20 * kMiB, 100 * kMiB, std::chrono::milliseconds(1)),
            20 * kMiB);
  EXPECT_EQ(steps_,
            (std::vector<uint64_t>{kLargestStep, kLargestStep, 16 * kMiB}));
}

TEST_F(TakeBackTest, TheLastPageIsNotFoughtFor) {
  EXPECT_LE(*Take(usage_ - 1, 100 * kMiB, std::chrono::milliseconds(1)),
            100 * kMiB - 1);
  EXPECT_EQ(steps_, std::vector<uint64_t>{kSmallestStep});
}

TEST_F(TakeBackTest, NothingMoreIsToBeHad) {
  EXPECT_EQ(*Take(20 * kMiB, 40 * kMiB, std::chrono::milliseconds(1)),
            60 * kMiB);
  EXPECT_EQ(steps_.size(), 3U) << "the last one took nothing";
}

TEST_F(TakeBackTest, ASlowDiskIsNotWaitedForWithoutEnd) {
  EXPECT_EQ(*Take(0, 100 * kMiB, std::chrono::seconds(6)), 36 * kMiB);
  EXPECT_EQ(steps_.size(), 2U);
}

TEST_F(TakeBackTest, WhatFitsIsLeftAlone) {
  EXPECT_EQ(*Take(usage_, 100 * kMiB, std::chrono::seconds(1)), 100 * kMiB);
  EXPECT_TRUE(steps_.empty());
}

}  // namespace
}  // namespace pinion::cgroup
