#include "image/challenge.h"

#include <gtest/gtest.h>

namespace pinion::image {
namespace {

TEST(ChallengeTest, ReadsBearer) {
  const auto challenges = ParseChallenges(
      R"(Bearer realm="https://auth.example/token",service="r.example",)"
      R"(scope="repository:a/b:pull,push")");
  ASSERT_EQ(challenges.size(), 1u);
  EXPECT_EQ(challenges[0].scheme, "bearer");
  EXPECT_EQ(challenges[0].params.at("realm"), "https://auth.example/token");
  EXPECT_EQ(challenges[0].params.at("scope"), "repository:a/b:pull,push");
}

TEST(ChallengeTest, ReadsSeveralInOneValue) {
  const auto challenges = ParseChallenges(
      R"(Basic realm="x", Bearer Realm = "y" , service=z,Negotiate)");
  ASSERT_EQ(challenges.size(), 3u);
  EXPECT_EQ(challenges[0].params.at("realm"), "x");
  EXPECT_EQ(challenges[1].params.at("realm"), "y");
  EXPECT_EQ(challenges[1].params.at("service"), "z");
  EXPECT_EQ(challenges[2].scheme, "negotiate");
}

TEST(ChallengeTest, UnescapesQuotedStrings) {
  const auto challenges = ParseChallenges(R"(Basic realm="a\"b\\c")");
  ASSERT_EQ(challenges.size(), 1u);
  EXPECT_EQ(challenges[0].params.at("realm"), R"(a"b\c)");
}

TEST(ChallengeTest, StopsAtWhatItCannotRead) {
  EXPECT_TRUE(ParseChallenges("").empty());
  EXPECT_TRUE(ParseChallenges("\"quoted\"").empty());
  EXPECT_TRUE(ParseChallenges(std::string(10'000, 'a')).empty());
  // The string has no end: the parameter is not taken.
  const auto open = ParseChallenges(R"(Bearer realm="https://a)");
  for (const Challenge& challenge : open) {
    EXPECT_EQ(challenge.params.count("realm"), 0u);
  }
}

}  // namespace
}  // namespace pinion::image
