#include "runtime/plan/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::plan {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

TEST(YamlTest, BlocksFlowsAndScalars) {
  const auto json = YamlToJson(R"(---
a: 1          # a comment
b: -0x10
c: 0666
d: 0o17
e: true
f: ~
g: "1"
h: 'it''s'
i: !!str 5
j: 1.5
k: --1
list:
- x: y
  z: []
- {flow: [1, two]}
block: |
  two
  lines
)");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(*json, Json::parse(R"({
    "a": 1, "b": -16, "c": 438, "d": 15, "e": true, "f": null, "g": "1",
    "h": "it's", "i": "5", "j": "1.5", "k": "--1",
    "list": [{"x": "y", "z": []}, {"flow": [1, "two"]}],
    "block": "two\nlines\n"})"));
}

TEST(YamlTest, JsonIsYaml) {
  const std::string text = R"({"a": [1, {"b": "c\u0041"}], "d": null})";
  EXPECT_EQ(*YamlToJson(text), Json::parse(text));
}

TEST(YamlTest, RefusesWithTheLine) {
  std::string deep;
  for (int i = 0; i < 70; ++i) deep += '[';
  std::string wide = "[";
  for (int i = 0; i < 100001; ++i) wide += "1,";
  const std::pair<std::string, const char*> cases[] = {
      {"", "line 1"},
      {"a: 1\n---\nb: 2\n", "line 2: not one YAML document"},
      {"a: 1\nb: [\n", "line 3"},
      {"a: 1\na: 2\n", "line 2: key a comes twice"},
      {"? [a]\n: b\n", "line 1: a key that is no scalar"},
      {"a: &x 1\nb: *x\n", "line 2: an alias"},
      {"a: !!binary aGk=\n", "line 1: a tag"},
      {deep + "\n", "too many levels"},
      {wide + "]\n", "too many values"},
      {"a: \xff\n", "line 1"},
  };
  for (const auto& [text, message] : cases) {
    const absl::Status status = YamlToJson(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << message << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

}  // namespace
}  // namespace pinion::plan
