#include "ipam/slot.h"

#include <gtest/gtest.h>

namespace pinion::ipam {
namespace {

TEST(OwnerTest, IsTheBeginningOfAnId) {
  const std::string id(64, 'c');
  EXPECT_EQ(Owner::FromId(id)->ToString(), "ccccccccccccc");
  EXPECT_EQ(Owner::FromId("0123456789abcdef")->ToString(), "0123456789abc");
  EXPECT_EQ(Owner(5).ToString(), "0000000000005");
  for (const char* bad : {"", "0123456789ab", "0123456789ABC", "0123456789ab/",
                          "../../../../../../"}) {
    EXPECT_EQ(Owner::FromId(bad).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST(SlotTest, AClaimNamesItsOwnerAndEndsInACoolDown) {
  const Owner owner(0xabcdef0123456);
  const uint64_t owned = slot::Claimed(0, owner);
  EXPECT_EQ(slot::TagOf(owned), slot::Tag::kOwned);
  EXPECT_TRUE(slot::IsOwnedBy(owned, owner));
  EXPECT_FALSE(slot::IsOwnedBy(owned, Owner(1)));
  EXPECT_FALSE(slot::IsCooling(owned, 0, 1000));

  const uint64_t released = slot::Released(owned, 5000);
  EXPECT_EQ(slot::TagOf(released), slot::Tag::kCooling);
  EXPECT_TRUE(slot::IsCooling(released, 5000, 1000));
  EXPECT_TRUE(slot::IsCooling(released, 5999, 1000));
  EXPECT_FALSE(slot::IsCooling(released, 6000, 1000));
  EXPECT_FALSE(slot::IsCooling(released, 5000, 0));
  EXPECT_FALSE(slot::IsCooling(released, 4999, 0));
  // Read on another CPU a moment before the release.
  EXPECT_TRUE(slot::IsCooling(released, 4999, 1000));
  EXPECT_FALSE(slot::IsCooling(slot::RolledBack(owned), 1, 1000));
  EXPECT_EQ(slot::RolledBack(owned, 0), slot::RolledBack(owned));
  // To the former cool-down, under its own generation.
  const uint64_t next = slot::Claimed(released, Owner(1));
  EXPECT_EQ(slot::RolledBack(next, released), slot::Released(next, 5000));
}

TEST(SlotTest, EveryClaimHasAnotherGeneration) {
  uint64_t word = 0;
  for (uint64_t i = 1; i < 3000; ++i) {
    const uint64_t owned = slot::Claimed(word, Owner(7));
    EXPECT_NE(slot::GenerationOf(owned), slot::GenerationOf(word));
    EXPECT_EQ(slot::GenerationOf(owned), i % 1024);
    word = slot::Released(owned, i);
    EXPECT_EQ(slot::GenerationOf(word), i % 1024);
  }
}

TEST(SlotTest, KnowsWhatItCannotHaveWritten) {
  EXPECT_TRUE(slot::IsValid(0, 100));
  EXPECT_TRUE(slot::IsValid(slot::Claimed(0, Owner(0)), 100));
  EXPECT_TRUE(slot::IsValid(slot::Make(slot::Tag::kCooling, 3, 100), 100));
  EXPECT_FALSE(slot::IsValid(slot::Make(slot::Tag::kCooling, 3, 101), 100));
  EXPECT_FALSE(slot::IsValid(slot::Make(slot::Tag::kFree, 3, 0), 100));
  EXPECT_FALSE(slot::IsValid(slot::Make(slot::Tag::kFree, 0, 3), 100));
  EXPECT_FALSE(slot::IsValid(slot::Make(slot::Tag::kInvalid, 0, 0), 100));
}

}  // namespace
}  // namespace pinion::ipam
