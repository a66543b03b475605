#include "network/modes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Mode = Options::Mode;

Options Both() {
  Options options;
  options.range = "10.1.0.0/24";
  options.subnet = "10.1.0.0/16";
  options.gateway = "10.1.255.1";
  options.host_link = true;
  options.modes = {Mode::kBridge};
  options.bridge_range = "10.2.0.0/24";
  return options;
}

TEST(ModesTest, TheNodesOwnComesFirstAndEachOnce) {
  Options options;
  options.mode = Mode::kBridge;
  options.modes = {Mode::kNone, Mode::kBridge, Mode::kCni, Mode::kNone};
  EXPECT_THAT(EnabledModes(options),
              ElementsAre(Mode::kBridge, Mode::kNone, Mode::kCni));
}

TEST(ModesTest, BesideMacvlanTheBridgeHasItsOwnRangeAndNothingOfMacvlans) {
  const Options options = Both();
  EXPECT_TRUE(CheckModes(options).ok()) << CheckModes(options);
  const Options bridge = OptionsFor(options, Mode::kBridge);
  EXPECT_EQ(bridge.range, "10.2.0.0/24");
  EXPECT_EQ(bridge.subnet + bridge.gateway + bridge.node_address, "");
  const Options macvlan = OptionsFor(options, Mode::kMacvlan);
  EXPECT_EQ(macvlan.range, "10.1.0.0/24");
  EXPECT_EQ(macvlan.gateway, "10.1.255.1");
}

TEST(ModesTest, AloneTheBridgeTakesEitherRange) {
  Options options;
  options.mode = Mode::kBridge;
  options.range = "10.1.0.0/24";
  EXPECT_EQ(OptionsFor(options, Mode::kBridge).range, "10.1.0.0/24");
  options.bridge_range = "10.2.0.0/24";
  EXPECT_EQ(OptionsFor(options, Mode::kBridge).range, "10.2.0.0/24");
}

TEST(ModesTest, OnlyTheNodesOwnMayWaitForThePodCidr) {
  Options options = Both();
  options.bridge_range = "";
  EXPECT_THAT(std::string(CheckModes(options).message()),
              HasSubstr("bridge needs a range of its own"));
  options.mode = Mode::kBridge;
  options.modes = {Mode::kMacvlan};
  EXPECT_TRUE(CheckModes(options).ok()) << CheckModes(options);
  EXPECT_EQ(OptionsFor(options, Mode::kBridge).range, "");
  options.range = "";
  options.subnet = "";
  options.gateway = "";
  EXPECT_THAT(std::string(CheckModes(options).message()),
              HasSubstr("macvlan needs a range of its own"));
}

TEST(ModesTest, RangesMustNotOverlap) {
  Options options = Both();
  for (const char* const range :
       {"10.1.0.128/25", "10.0.0.0/8", "10.1.0.255-10.1.1.4"}) {
    options.bridge_range = range;
    EXPECT_TRUE(absl::IsInvalidArgument(CheckModes(options))) << range;
  }
  options.range = "10.1.0.0/24";
  // In the macvlans' subnet, where they look for it on the link.
  options.bridge_range = "10.1.7.0/24";
  EXPECT_TRUE(absl::IsInvalidArgument(CheckModes(options)));
  options.bridge_range = "fd00::/64";
  EXPECT_TRUE(CheckModes(options).ok()) << CheckModes(options);
}

TEST(ModesTest, ThePodCidrMustLeaveTheOthersAlone) {
  Options options = Both();
  // It is left aside itself.
  EXPECT_THAT(RangesBesidePodCidr(options), IsEmpty());
  options.range = "";
  EXPECT_THAT(RangesBesidePodCidr(options), ElementsAre("10.2.0.0/24"));
  options.mode = Mode::kNone;
  EXPECT_THAT(RangesBesidePodCidr(options), IsEmpty());
  options = Both();
  options.mode = Mode::kBridge;
  options.modes = {Mode::kNone, Mode::kMacvlan};
  options.bridge_range = "";
  EXPECT_THAT(RangesBesidePodCidr(options),
              ElementsAre("10.1.0.0/24", "10.1.0.0/16"));
}

TEST(ModesTest, ThePodCidrMustLeaveFurtherNetworksOfItsWireAlone) {
  Options options;
  options.parent = "lan0";
  options.secondary["red"] = {.parent = "lan0", .range = "10.3.0.0/24"};
  options.secondary["none"] = {.parent = "lan0"};
  options.secondary["blue"] = {
      .parent = "lan0", .vlan = 7, .range = "10.4.0.0/24"};
  options.secondary["far"] = {.parent = "lan1", .range = "10.5.0.0/24"};
  EXPECT_THAT(RangesBesidePodCidr(options), ElementsAre("10.3.0.0/24"));
  options.mode = Mode::kBridge;
  EXPECT_THAT(RangesBesidePodCidr(options), IsEmpty());
}

TEST(ModesTest, IpvlanIsToTheBridgeAsMacvlanIs) {
  Options options = Both();
  options.mode = Mode::kIpvlan;
  EXPECT_TRUE(CheckModes(options).ok()) << CheckModes(options);
  EXPECT_STREQ(ModeText(Mode::kIpvlan), "ipvlan");
  EXPECT_EQ(OptionsFor(options, Mode::kIpvlan).gateway, "10.1.255.1");
  EXPECT_EQ(OptionsFor(options, Mode::kBridge).range, "10.2.0.0/24");
  options.bridge_range = "10.1.7.0/24";
  EXPECT_TRUE(absl::IsInvalidArgument(CheckModes(options)));
  options.mode = Mode::kBridge;
  options.modes = {Mode::kIpvlan};
  options.bridge_range = "";
  EXPECT_THAT(RangesBesidePodCidr(options),
              ElementsAre("10.1.0.0/24", "10.1.0.0/16"));
}

TEST(ModesTest, MacvlanAndIpvlanExcludeEachOther) {
  Options options;
  options.range = "10.1.0.0/24";
  options.modes = {Mode::kIpvlan};
  EXPECT_THAT(std::string(CheckModes(options).message()),
              HasSubstr("macvlan and ipvlan exclude each other"));
}

TEST(ModesTest, DevicesMustNotShareAName) {
  Options options = Both();
  options.bridge_name = options.host_link_name;
  EXPECT_TRUE(absl::IsInvalidArgument(CheckModes(options)));
  // Nor while the bridge waits for its range.
  options.mode = Mode::kBridge;
  options.modes = {Mode::kMacvlan};
  options.bridge_range = "";
  EXPECT_TRUE(absl::IsInvalidArgument(CheckModes(options)));
}

}  // namespace
}  // namespace pinion::network
