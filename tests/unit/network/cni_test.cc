// What strangers write and CNI plugins answer.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "network/cni/config.h"
#include "network/cni/result.h"

namespace pinion::network::cni {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct BadList {
  std::string text;
  std::string error;
};

class BadListTest : public testing::TestWithParam<BadList> {};

TEST_P(BadListTest, IsRefused) {
  const auto list = ParseList(GetParam().text);
  EXPECT_EQ(list.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(list.status().message(), HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadListTest,
    testing::Values(
        BadList{"[]", "the CNI configuration"},
        BadList{R"({"cniVersion": "1.0.0", "type": "x"})", "name \"\""},
        BadList{R"({"cniVersion": "1.0.0", "name": "../x", "type": "x"})",
                "name \"../x\""},
        BadList{R"({"cniVersion": "0.2.0", "name": "x", "type": "x"})",
                "pinion speaks 0.3.0 to 1.1.0"},
        BadList{R"({"name": "x", "type": "x"})", "cniVersion \"\""},
        BadList{R"({"cniVersion": "1.0.0", "name": "x"})", "type \"\""},
        BadList{R"({"cniVersion": "1.0.0", "name": "x", "type": "a/b"})",
                "type \"a/b\""},
        BadList{R"({"cniVersion": "1.0.0", "name": "x", "type": "..", "a": 1})",
                "type \"..\""},
        BadList{R"({"cniVersion": "1.0.0", "name": "x", "plugins": []})",
                "1 to 32"},
        BadList{R"({"cniVersion": "1.0.0", "name": "x", "plugins": [1]})",
                "no object"},
        BadList{R"({"cniVersion": "1.0.0", "name": "x", "disableGC": 1,
                    "type": "x"})",
                "disableGC"},
        BadList{R"({"cniVersion": "1.0.0", "name": "x", "type": "x",
                    "capabilities": true})",
                "capabilities"}));

TEST(ListTest, SurvivesItsOwnJson) {
  const auto list = ParseList(R"({"cniVersion": "0.4.0", "name": "net",
      "disableCheck": "true", "plugins": [{"type": "a", "k": [1]},
      {"type": "b"}]})");
  ASSERT_TRUE(list.ok()) << list.status();
  const auto again = FromJson(ToJson(*list));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ToJson(*again), ToJson(*list));
  EXPECT_TRUE(again->disable_check);
  EXPECT_EQ(again->plugins[0].conf["k"][0], 1);
  EXPECT_TRUE(IsAtLeast(*again, "0.3.1"));
  EXPECT_TRUE(IsAtLeast(*again, "0.4.0"));
  EXPECT_FALSE(IsAtLeast(*again, "1.0.0"));
}

TEST(ListTest, OffersTheVersionsThatPinionSpeaks) {
  const auto list = ParseList(R"({"cniVersion": "0.4.0", "cniVersions":
      ["1.0.0", "7.0.0", "0.2.0", "0.4.0"], "name": "net", "type": "a"})");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->versions, ElementsAre("0.4.0", "1.0.0"));
  EXPECT_EQ(list->version, "1.0.0");
  EXPECT_FALSE(ParseList(R"({"cniVersion": "0.4.0", "cniVersions": "1.0.0",
      "name": "net", "type": "a"})")
                   .ok());
}

TEST(ExecutionConfigTest, GivesCapabilitiesThatWereDeclared) {
  const auto list = ParseList(R"({"cniVersion": "1.0.0", "name": "net",
      "plugins": [{"type": "a", "capabilities":
        {"portMappings": true, "bandwidth": false}}]})");
  ASSERT_TRUE(list.ok());
  const CapabilityArgs arguments = {
      {"portMappings", Json::array({1})}, {"bandwidth", 2}, {"ipRanges", 3}};
  const Json conf = Json::parse(
      ExecutionConfig(*list, list->plugins[0], arguments, {{"ips", 1}}));
  const Json expected = {
      {"type", "a"},
      {"name", "net"},
      {"cniVersion", "1.0.0"},
      {"runtimeConfig", {{"portMappings", Json::array({1})}}},
      {"prevResult", {{"ips", 1}}}};
  EXPECT_EQ(conf, expected);
}

TEST(ResultTest, TakesThePodsInterface) {
  const Json result = Json::parse(R"({"interfaces": [
      {"name": "cni0", "mac": "02:00:00:00:00:01"},
      {"name": "net1", "mac": "02:00:00:00:00:02", "sandbox": "/x"},
      {"name": "eth0", "mac": "02:00:00:00:00:03", "sandbox": "/x"}],
    "ips": [{"address": "10.8.8.8/24"},
            {"address": "10.9.9.9/24", "interface": 1},
            {"address": "10.1.2.3/24", "interface": 2},
            {"address": "fd00::3/64", "interface": 2}]})");
  const auto addresses = AddressesOf(result, "eth0");
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "10.1.2.3");
  EXPECT_THAT(addresses->additional_ips, ElementsAre("fd00::3", "10.8.8.8"));
  EXPECT_EQ(addresses->mac, "02:00:00:00:00:03");
}

TEST(ResultTest, RefusesWhatIsNone) {
  for (const char* text :
       {"[]", "{}", R"({"ips": []})",
        R"({"ips": [{"address": "10.0.0.1/8", "interface": 0}],
            "interfaces": [{"name": "net1", "sandbox": "/x"}]})",
        R"({"ips": 1})", R"({"ips": [1]})", R"({"ips": [{"address": "x"}]})",
        R"({"interfaces": [1]})",
        R"({"ips": [{"address": "10.0.0.1/8", "interface": 0}]})",
        R"({"ips": [{"address": "10.0.0.1/8", "interface": -1}]})"}) {
    EXPECT_EQ(AddressesOf(Json::parse(text), "eth0").status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(ErrorTest, SpeaksThePluginsWords) {
  EXPECT_THAT(ErrorOf(R"({"code": 7, "msg": "no"})", "", 1).ToString(),
              HasSubstr("INTERNAL: no"));
  EXPECT_EQ(ErrorOf(R"({"code": 11, "msg": "no"})", "", 1).code(),
            absl::StatusCode::kUnavailable);
  EXPECT_THAT(ErrorOf("", "panic\n", 2).message(),
              HasSubstr("exit code 2: panic"));
  EXPECT_THAT(ErrorOf("", std::string(5000, 'x') + "end", 2).message(),
              HasSubstr("xend"));
}

}  // namespace
}  // namespace pinion::network::cni
