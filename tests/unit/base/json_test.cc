#include "base/json.h"

#include <gtest/gtest.h>

namespace pinion {
namespace {

bool Accepts(const std::string& text) {
  return ParseJsonObject(text, "test").ok();
}

TEST(JsonTest, RefusesWhatIsNoObject) {
  EXPECT_TRUE(Accepts("{}"));
  for (const char* text : {"", "[]", "1", "\"x\"", "{", "{}}", "{\"a\":}",
                           "{'a':1}", "{} x", "\xff"}) {
    EXPECT_FALSE(Accepts(text)) << text;
  }
}

TEST(JsonTest, BoundsSizeDepthAndNumberOfValues) {
  const std::string deep = std::string(60, '[') + std::string(60, ']');
  EXPECT_TRUE(Accepts("{\"a\":" + deep + "}"));
  const std::string bomb = std::string(1000, '[') + std::string(1000, ']');
  EXPECT_FALSE(Accepts("{\"a\":" + bomb + "}"));
  std::string many = "{\"a\":[0";
  for (int i = 0; i < 300'000; ++i) many += ",0";
  EXPECT_FALSE(Accepts(many + "]}"));
  EXPECT_FALSE(Accepts("{\"a\":\"" + std::string(kMaxJsonBytes, 'x') + "\"}"));
  EXPECT_TRUE(Accepts("{\"a\":\"" + std::string(1000, '[') + "\\\"\"}"));
}

TEST(JsonTest, MembersHaveTheirTypeOrAreRefused) {
  const auto json = ParseJsonObject(
      R"({"s":"x","n":7,"neg":-1,"f":1.5,"big":99999999999999999999,
          "a":["p","q"],"mixed":["p",1],"o":{"k":"v"},"null":null,
          "nul":"a\u0000b"})",
      "test");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(*JsonString(*json, "s"), "x");
  EXPECT_EQ(*JsonString(*json, "absent"), "");
  EXPECT_EQ(*JsonString(*json, "null"), "");
  EXPECT_FALSE(JsonString(*json, "n").ok());
  EXPECT_FALSE(JsonString(*json, "nul").ok());
  EXPECT_EQ(*JsonSize(*json, "n"), 7u);
  for (const char* key : {"neg", "f", "big", "s", "a"}) {
    EXPECT_FALSE(JsonSize(*json, key).ok()) << key;
  }
  EXPECT_EQ(JsonStrings(*json, "a")->size(), 2u);
  EXPECT_FALSE(JsonStrings(*json, "mixed").ok());
  EXPECT_FALSE(JsonStrings(*json, "o").ok());
  EXPECT_EQ(JsonStringMap(*json, "o")->at("k"), "v");
  EXPECT_FALSE(JsonStringMap(*json, "a").ok());
  EXPECT_FALSE(JsonObject(*json, "a").ok());
  EXPECT_FALSE(JsonArray(*json, "o").ok());
  EXPECT_EQ(*JsonObject(*json, "absent"), nullptr);
}

}  // namespace
}  // namespace pinion
