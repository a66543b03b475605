#include "network/secondary/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "network/secondary/vlan.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(SecondaryPlanTest, HasNoDefaultGatewayAndNoNode) {
  const SecondaryOptions network{.parent = "eth1",
                                 .range = "10.1.2.0/24,fd01:0:0:2::/64",
                                 .subnet = "10.1.0.0/16,fd01::/48",
                                 .gateway = "10.1.2.1",
                                 .routes = {"10.5.0.0/16 via 10.1.2.9"}};
  const auto plans = PlanSecondary("a", network, {});
  ASSERT_TRUE(plans.ok()) << plans.status();
  ASSERT_THAT(*plans, SizeIs(2));
  const FamilyPlan& plan = plans->front();
  EXPECT_EQ(plan.subnet.ToString(), "10.1.0.0/16");
  EXPECT_FALSE(plan.gateway || plan.node || plan.services);
  // Routers are no pods: .0, .1, .9 and .255 are left out.
  EXPECT_EQ(plan.range.usable(), 252u);
  EXPECT_EQ(plan.range.FirstUsable()->ToString(), "10.1.2.2");
}

TEST(SecondaryPlanTest, WithoutARangeThereIsNothingToPlan) {
  EXPECT_THAT(*PlanSecondary("a", {.parent = "eth1"}, {}), IsEmpty());
}

TEST(SecondaryPlanTest, RoutesTakeTheGatewayOfTheirFamily) {
  const auto routes = PlanRoutes(
      {.parent = "eth1",
       .range = "10.1.2.0/24",
       .gateway = "10.1.2.1",
       .routes = {"10.5.0.0/16", "10.6.0.0/16 via 10.1.2.9", "fd05::/16"}});
  ASSERT_TRUE(routes.ok()) << routes.status();
  EXPECT_EQ((*routes)[0].via->ToString(), "10.1.2.1");
  EXPECT_EQ((*routes)[1].via->ToString(), "10.1.2.9");
  EXPECT_FALSE((*routes)[2].via) << "on the link";
}

TEST(SecondaryPlanTest, ADefaultRouteIsTheFirstInterfaces) {
  for (const char* text :
       {"0.0.0.0/0", "::/0 via fd00::1", "0.0.0.0/1 via 10.1.0.1",
        "128.0.0.0/1", "2000::/3", "10.0.0.0", "10.0.0.0/8 via",
        "10.0.0.0/8 via fd00::1", "10.0.0.0/8 by 10.0.0.1", ""}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseSecondaryRoute(text).status()))
        << text;
  }
  for (const char* text : {"10.0.0.0/8", "224.0.0.0/4", "fc00::/7"}) {
    EXPECT_TRUE(ParseSecondaryRoute(text).ok()) << text;
  }
}

// The error of two networks, "a" as given and "b" on the same wire.
std::string ErrorOf(const SecondaryOptions& a, Options options = Options()) {
  options.parent = "eth0";
  options.range = "10.9.0.0/24";
  options.secondary["a"] = a;
  options.secondary["b"] = {
      .parent = "eth1", .vlan = 100, .range = "10.1.0.0-10.1.0.99"};
  options.secondary["b"].subnet = "10.1.0.0/24";
  return std::string(CheckSecondaryOptions(options).message());
}

TEST(SecondaryPlanTest, ChecksEachNetwork) {
  EXPECT_EQ(ErrorOf({.parent = "eth1"}), "");
  EXPECT_THAT(ErrorOf({}), HasSubstr("network.secondary.a.parent: must be"));
  EXPECT_THAT(ErrorOf({.parent = "auto"}), HasSubstr("must be a device"));
  for (const char* own : {"pinion-host", "pinion0", "pinion-host-p"}) {
    EXPECT_THAT(ErrorOf({.parent = own}), HasSubstr("of pinion's own"));
  }
  EXPECT_THAT(ErrorOf({.parent = "eth1", .vlan = 4095}),
              HasSubstr("network.secondary.a.vlan: must be 1 to 4094"));
  EXPECT_THAT(
      ErrorOf(
          {.parent = "eth1", .range = "10.2.0.0/24", .subnet = "10.3.0.0/24"}),
      HasSubstr("network.secondary.a.subnet: the range 10.2.0.0/24"));
  EXPECT_THAT(
      ErrorOf({.parent = "eth1", .vlan = 7, .range = "10.2.0.5-10.2.0.9"}),
      HasSubstr("network.secondary.a.subnet is needed"));
  EXPECT_THAT(ErrorOf({.parent = "lo"}),
              HasSubstr("network.secondary.a.parent: lo is the loopback"));
  EXPECT_THAT(ErrorOf({.parent = "eth1",
                       .range = "10.2.0.0/24",
                       .exclude = {"10.2.0.0-10.2.0.255"}}),
              HasSubstr("has no address left"));
  Options options;
  options.secondary["A b"] = {.parent = "eth1"};
  EXPECT_THAT(std::string(CheckSecondaryOptions(options).message()),
              HasSubstr("\"A b\" is no name"));
}

TEST(SecondaryPlanTest, RoutersAreOnTheLink) {
  SecondaryOptions network{.parent = "eth1",
                           .range = "10.60.0.0/24,fd60::/64",
                           .routes = {"10.0.0.0/8 via 10.61.0.1"}};
  const auto error = [&](const std::vector<LinkAddress>& parent) {
    return std::string(PlanSecondary("a", network, parent).status().message());
  };
  EXPECT_THAT(error({}), HasSubstr("network.secondary.a.routes: 10.61.0.1 is "
                                   "not within the subnet 10.60.0.0/24"));
  // The parent's subnet is the pods'.
  EXPECT_EQ(error({{.address = *ipam::IpAddress::Parse("10.60.255.1"),
                    .prefix_length = 14,
                    .global = true,
                    .secondary = false}}),
            "");
  EXPECT_EQ(ErrorOf(network), "");
  network.subnet = "10.60.0.0/16";
  EXPECT_THAT(ErrorOf(network), HasSubstr("10.61.0.1 is not within"));
  network.routes = {"10.0.0.0/8 via 10.60.1.1", "fd00::/8 via fe80::1"};
  EXPECT_EQ(ErrorOf(network), "");
}

TEST(SecondaryPlanTest, RoutesLeaveTheFirstInterfaceItsNeighbours) {
  const auto error = [](const std::string& route, const std::string& subnet) {
    Options options;
    options.subnet = subnet;
    return ErrorOf({.parent = "eth1", .routes = {route}}, options);
  };
  for (const char* own : {"10.9.0.0/24", "10.9.0.128/25"}) {
    EXPECT_THAT(error(own, ""), HasSubstr("is of 10.9.0.0/24, the first"));
  }
  EXPECT_THAT(error("10.9.0.0/16", "10.9.0.0/16"),
              HasSubstr("is of 10.9.0.0/16, the first"));
  EXPECT_EQ(error("10.9.0.0/16", ""), "");
  EXPECT_EQ(error("10.9.64.0/18", "10.9.0.0/16"), "");
  EXPECT_EQ(error("10.0.0.0/8", "10.9.0.0/16"), "");
}

TEST(SecondaryPlanTest, NetworksOnOneWireDoNotShareAddresses) {
  EXPECT_THAT(
      ErrorOf({.parent = "eth1", .vlan = 100, .range = "10.1.0.64/26"}),
      HasSubstr("network.secondary.a.range and network.secondary.b.range are "
                "on the same parent and VLAN"));
  EXPECT_EQ(ErrorOf({.parent = "eth1", .vlan = 100, .range = "10.1.0.128/25"}),
            "");
  EXPECT_EQ(ErrorOf({.parent = "eth1", .vlan = 101, .range = "10.1.0.64/26"}),
            "");
  EXPECT_EQ(ErrorOf({.parent = "eth2", .vlan = 100, .range = "10.1.0.64/26"}),
            "");
  EXPECT_THAT(ErrorOf({.parent = "eth0", .range = "10.9.0.0/16"}),
              HasSubstr("network.range are on the same parent"));
  // Whether all pods have their first interface there or some.
  Options bridge;
  bridge.mode = Options::Mode::kBridge;
  EXPECT_EQ(ErrorOf({.parent = "eth0", .range = "10.9.0.0/16"}, bridge), "");
  bridge.modes = {Options::Mode::kMacvlan};
  EXPECT_THAT(ErrorOf({.parent = "eth0", .range = "10.9.0.0/16"}, bridge),
              HasSubstr("network.range are on the same parent"));
}

TEST(SecondaryPlanTest, IpvlanHasItsParentToItself) {
  Options options;
  options.mode = Options::Mode::kBridge;
  options.modes = {Options::Mode::kIpvlan};
  EXPECT_THAT(ErrorOf({.parent = "eth0"}, options),
              HasSubstr("network.secondary.a.parent: eth0 is network.parent"));
  EXPECT_EQ(ErrorOf({.parent = "eth0", .vlan = 7}, options), "");
  EXPECT_EQ(ErrorOf({.parent = "eth2"}, options), "");
}

TEST(VlanDeviceNameTest, FitsAndTellsDaemonsAndParentsApart) {
  const std::string name = VlanDeviceName("pinion-host", "eth1", 4094);
  EXPECT_THAT(name, SizeIs(15)) << name;
  EXPECT_NE(name, VlanDeviceName("pinion-host", "eth2", 4094));
  EXPECT_NE(name, VlanDeviceName("pinion-host", "eth1", 409));
  EXPECT_TRUE(IsVlanDeviceName("pinion-host", name));
  EXPECT_FALSE(IsVlanDeviceName("other-host", name));
  EXPECT_FALSE(IsVlanDeviceName("pinion-host", "eth1.100"));
  EXPECT_FALSE(IsVlanDeviceName("pinion-host", name.substr(0, 8)));
}

}  // namespace
}  // namespace pinion::network
