#include "base/cpu_set.h"

#include <gtest/gtest.h>

#include <vector>

namespace pinion {
namespace {

TEST(CpuSetTest, ParsesAndPrintsTheShortestList) {
  const auto set = CpuSet::Parse("8,0-2,3,10-11\n");
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->ToString(), "0-3,8,10-11");
  EXPECT_EQ(set->size(), 7U);
}

TEST(CpuSetTest, EmptyTextIsTheEmptySet) {
  const auto set = CpuSet::Parse("");
  ASSERT_TRUE(set.ok());
  EXPECT_TRUE(set->empty());
  EXPECT_EQ(set->ToString(), "");
}

TEST(CpuSetTest, RejectsWhatTheKernelRejects) {
  for (const char* text : {"-1", "3-1", "a", "1,", ",1", "1-", "0x1", "1 2",
                           "99999999999", "8192", "1--2"}) {
    EXPECT_EQ(CpuSet::Parse(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(CpuSetTest, KnowsSubsets) {
  const CpuSet all = *CpuSet::Parse("0-7");
  EXPECT_TRUE(all.ContainsAll(*CpuSet::Parse("0,7")));
  EXPECT_FALSE(all.ContainsAll(*CpuSet::Parse("7-8")));
}

TEST(CpuSetTest, AddsAndRemovesAcrossWords) {
  CpuSet set;
  for (const int cpu : {8191, 64, 63, 0}) set.Add(cpu);
  EXPECT_EQ(set.ToString(), "0,63-64,8191");
  EXPECT_EQ(std::vector<int>(set.begin(), set.end()),
            (std::vector<int>{0, 63, 64, 8191}));
  set.Remove(8191);
  set.Remove(8190);
  EXPECT_FALSE(set.Contains(8191));
  EXPECT_FALSE(set.Contains(-1));
  // Equal, however large it has been.
  EXPECT_EQ(set, *CpuSet::Parse("0,63-64"));
  for (const int cpu : {0, 63, 64}) set.Remove(cpu);
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set.begin(), set.end());
}

TEST(CpuSetTest, JoinsAndTakesAway) {
  const CpuSet low = *CpuSet::Parse("0-65");
  const CpuSet high = *CpuSet::Parse("64-130");
  EXPECT_EQ((low | high).ToString(), "0-130");
  EXPECT_EQ((high | low).ToString(), "0-130");
  EXPECT_EQ((low & high).ToString(), "64-65");
  EXPECT_EQ((high & low).ToString(), "64-65");
  EXPECT_EQ((low - high).ToString(), "0-63");
  EXPECT_EQ((high - low).ToString(), "66-130");
  EXPECT_EQ(low.SizeOfBoth(high), 2U);
  EXPECT_TRUE((low - low).empty());
}

}  // namespace
}  // namespace pinion
