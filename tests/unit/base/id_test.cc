#include "base/id.h"

#include <gtest/gtest.h>

#include <set>

namespace pinion {
namespace {

TEST(IdTest, NewIdsAreValidAndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = NewId();
    EXPECT_TRUE(IsId(id)) << id;
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST(IdTest, RejectsWhatIsNoId) {
  const std::string id(64, 'a');
  EXPECT_TRUE(IsId(id));
  EXPECT_FALSE(IsId(id.substr(1)));
  EXPECT_FALSE(IsId(id + "a"));
  EXPECT_FALSE(IsId(std::string(64, 'A')));
  EXPECT_FALSE(IsId(std::string(62, 'a') + ".."));
  EXPECT_FALSE(IsIdPrefix(""));
  EXPECT_FALSE(IsIdPrefix("../a"));
}

TEST(IdTest, SafeNamesStayInOnePathComponent) {
  EXPECT_TRUE(IsSafeName("nginx-7d9.log"));
  for (const char* name : {"", ".", "..", "a/b", "/", "a\nb", "\x7f"}) {
    EXPECT_FALSE(IsSafeName(name)) << name;
  }
  EXPECT_FALSE(IsSafeName(std::string_view("a\0b", 3)));
  EXPECT_FALSE(IsSafeName(std::string(254, 'a')));
}

}  // namespace
}  // namespace pinion
