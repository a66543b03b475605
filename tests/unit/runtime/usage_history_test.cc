#include "runtime/usage_history.h"

#include <gtest/gtest.h>

namespace pinion::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const UsageHistory::Time kStart{seconds(1000)};

TEST(UsageHistoryTest, TheFirstMeasurementHasNoRate) {
  UsageHistory history;
  EXPECT_EQ(history.Rate(kStart, 5), std::nullopt);
}

TEST(UsageHistoryTest, RateIsCpuTimeOverTime) {
  UsageHistory history;
  history.Rate(kStart, 1'000'000'000);
  EXPECT_EQ(history.Rate(kStart + seconds(4), 3'000'000'000), 500'000'000U);
  EXPECT_EQ(history.Rate(kStart + seconds(6), 3'000'000'000), 0U);
}

TEST(UsageHistoryTest, WithinASecondTheRateStays) {
  UsageHistory history;
  history.Rate(kStart, 0);
  EXPECT_EQ(history.Rate(kStart + milliseconds(999), 7), std::nullopt);
  EXPECT_EQ(history.Rate(kStart + seconds(1), 100), 100U);
  EXPECT_EQ(history.Rate(kStart + milliseconds(1500), 1'000'000), 100U);
}

TEST(UsageHistoryTest, ACounterThatFellStartsAnew) {
  UsageHistory history;
  history.Rate(kStart, 100);
  EXPECT_EQ(history.Rate(kStart + seconds(2), 50), std::nullopt);
  EXPECT_EQ(history.Rate(kStart + seconds(4), 150), 50U);
}

TEST(UsageHistoryTest, TheWritableLayerIsGoodForTenSeconds) {
  UsageHistory history;
  EXPECT_FALSE(history.Writable(kStart).has_value());
  history.SetWritable(kStart, kStart + milliseconds(1), {7, {"/x", 4096, 1}});
  ASSERT_TRUE(history.Writable(kStart + seconds(9)).has_value());
  EXPECT_EQ(history.Writable(kStart)->usage.used_bytes, 4096U);
  EXPECT_FALSE(history.Writable(kStart + seconds(11)).has_value());
}

TEST(UsageHistoryTest, AMeasurementThatTookLongIsGoodForLonger) {
  UsageHistory history;
  const auto done = kStart + seconds(2);
  history.SetWritable(kStart, done, {});
  EXPECT_TRUE(history.Writable(done + seconds(99)).has_value());
  EXPECT_FALSE(history.Writable(done + seconds(100)).has_value());
}

TEST(UsageHistoryTest, HugePagePeaksAreKeptBySize) {
  UsageHistory history;
  EXPECT_EQ(history.HugePagePeak("2MB", 10), 10U);
  EXPECT_EQ(history.HugePagePeak("2MB", 4), 10U);
  EXPECT_EQ(history.HugePagePeak("1GB", 4), 4U);
}

}  // namespace
}  // namespace pinion::runtime
