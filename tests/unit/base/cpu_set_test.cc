#include "base/cpu_set.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace pinion
