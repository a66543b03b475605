#include "network/addressing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace pinion::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// One plan as text: "range A-B of N in SUBNET node X[*] gw Y svc Z", where *
// is for a node address on the host link.
std::string Describe(const FamilyPlan& plan) {
  std::string text =
      absl::StrCat(plan.range.FirstUsable()->ToString(), " of ",
                   plan.range.usable(), " in ", plan.subnet.ToString());
  if (plan.node) {
    absl::StrAppend(&text, " node ", plan.node->ToString(),
                    plan.node_on_host_link ? "*" : "");
  }
  if (plan.gateway) absl::StrAppend(&text, " gw ", plan.gateway->ToString());
  if (plan.services) absl::StrAppend(&text, " svc ", plan.services->ToString());
  return text;
}

LinkAddress Address(const std::string& text) {
  const size_t slash = text.find('/');
  return {.address = *ipam::IpAddress::Parse(text.substr(0, slash)),
          .prefix_length = std::stoi(text.substr(slash + 1)),
          .global = true,
          .secondary = false};
}

// The plans' descriptions, or the error.
std::string Plan(const Options& options,
                 const std::vector<std::string>& parent = {}) {
  const auto ranges = ParseRanges(options.range);
  if (!ranges.ok()) return ranges.status().ToString();
  std::vector<LinkAddress> addresses;
  for (const std::string& text : parent) addresses.push_back(Address(text));
  const auto plans = PlanAddresses(options, *ranges, addresses);
  if (!plans.ok()) return std::string(plans.status().message());
  std::vector<std::string> texts;
  for (const FamilyPlan& plan : *plans) texts.push_back(Describe(plan));
  return absl::StrJoin(texts, "; ");
}

Options With(const std::string& range) {
  Options options;
  options.range = range;
  return options;
}

TEST(AddressingTest, WithoutAnythingElseTheNodeTakesTheFirstAddress) {
  EXPECT_EQ(Plan(With("10.1.2.0/24")),
            "10.1.2.2 of 253 in 10.1.2.0/24 node 10.1.2.1*");
  EXPECT_EQ(Plan(With("fd00::/64")),
            "fd00::2 of 65534 in fd00::/64 node fd00::1*");
  EXPECT_EQ(Plan(With("10.1.2.0/24,fd00::/120")),
            "10.1.2.2 of 253 in 10.1.2.0/24 node 10.1.2.1*; "
            "fd00::2 of 254 in fd00::/120 node fd00::1*");
  EXPECT_EQ(Plan(With("10.1.2.4/31")),
            "10.1.2.5 of 1 in 10.1.2.4/31 node 10.1.2.4*");
}

TEST(AddressingTest, TheParentsSubnetAndAddressAreTaken) {
  EXPECT_EQ(Plan(With("192.168.0.128/26"), {"192.168.0.10/24"}),
            "192.168.0.129 of 62 in 192.168.0.0/24 node 192.168.0.10");
  // An address inside the range is left out.
  EXPECT_EQ(Plan(With("192.168.0.128/26"), {"192.168.0.129/24"}),
            "192.168.0.130 of 61 in 192.168.0.0/24 node 192.168.0.129");
  // Of several the one inside the subnet.
  EXPECT_EQ(Plan(With("10.1.0.0/24"), {"172.16.0.1/24", "10.1.9.1/16"}),
            "10.1.0.1 of 254 in 10.1.0.0/16 node 10.1.9.1");
  // None inside: the first one, with the range as subnet.
  EXPECT_EQ(Plan(With("10.1.0.0/24"), {"172.16.0.1/24", "fd00::1/64"}),
            "10.1.0.1 of 254 in 10.1.0.0/24 node 172.16.0.1");
}

TEST(AddressingTest, OnlyGlobalPrimaryAddressesAreTheNodes) {
  const auto ranges = *ParseRanges("10.1.0.0/24,fd00::/120");
  std::vector<LinkAddress> parent = {Address("10.9.0.5/16"),
                                     Address("fe80::1/64")};
  parent[0].secondary = true;
  parent[1].global = false;
  const auto plans = *PlanAddresses(Options(), ranges, parent);
  EXPECT_EQ(Describe(plans[0]),
            "10.1.0.2 of 253 in 10.1.0.0/24 node 10.1.0.1*");
  EXPECT_EQ(Describe(plans[1]), "fd00::2 of 254 in fd00::/120 node fd00::1*");
}

TEST(AddressingTest, ConfiguredValuesComeFirst) {
  Options options = With("10.1.2.0/24");
  options.subnet = "10.1.0.0/16";
  options.gateway = "10.1.2.1";
  options.service_cidr = "10.96.0.0/12";
  options.node_address = "10.1.2.7";
  options.exclude = {"10.1.2.2", "10.1.2.16/28", "10.1.2.250-10.1.3.3"};
  EXPECT_EQ(Plan(options, {"10.1.0.5/16"}),
            "10.1.2.3 of 230 in 10.1.0.0/16 node 10.1.2.7* gw 10.1.2.1 "
            "svc 10.96.0.0/12");
  options.node_address = "10.1.0.5";
  EXPECT_THAT(Plan(options, {"10.1.0.5/16"}), HasSubstr("node 10.1.0.5 "));
}

TEST(AddressingTest, WithoutHostLinkThereIsNoNode) {
  Options options = With("10.1.2.0/24");
  options.host_link = false;
  options.gateway = "10.1.2.254";
  EXPECT_EQ(Plan(options, {"10.1.2.5/24"}),
            "10.1.2.1 of 252 in 10.1.2.0/24 gw 10.1.2.254");
}

TEST(AddressingTest, ARangeOfTwoEndsNeedsASubnet) {
  EXPECT_EQ(Plan(With("10.1.2.5-10.1.2.9")),
            "network.subnet is needed: the range 10.1.2.5-10.1.2.9 is no CIDR");
  Options options = With("10.1.2.5-10.1.2.9");
  options.subnet = "10.1.2.0/24";
  EXPECT_EQ(Plan(options), "10.1.2.6 of 4 in 10.1.2.0/24 node 10.1.2.5*");
  EXPECT_EQ(Plan(With("10.1.2.5-10.1.2.9"), {"10.1.2.1/24"}),
            "10.1.2.5 of 5 in 10.1.2.0/24 node 10.1.2.1");
}

TEST(AddressingTest, SaysWhatDoesNotFit) {
  Options options = With("10.1.2.0/24");
  options.subnet = "10.2.0.0/16";
  EXPECT_EQ(Plan(options),
            "network.subnet: the range 10.1.2.0/24 is not within 10.2.0.0/16");
  options = With("10.1.2.0/24");
  options.gateway = "10.1.3.1";
  EXPECT_EQ(Plan(options),
            "network.gateway: 10.1.3.1 is not within the subnet 10.1.2.0/24");
  options = With("10.1.2.0/24");
  options.service_cidr = "10.1.0.0/16";
  EXPECT_THAT(Plan(options), HasSubstr("network.service_cidr: "));
  for (const char* full : {"10.1.2.4/32", "fd00::1/128"}) {
    EXPECT_THAT(Plan(With(full)), HasSubstr("has no address left for pods"));
  }
  options = With("10.1.2.0/30");
  options.exclude = {"10.1.2.2"};
  EXPECT_THAT(Plan(options), HasSubstr("has no address left for pods"));
  options.exclude = {"nonsense"};
  EXPECT_THAT(Plan(options), HasSubstr("network.exclude: \"nonsense\""));
  EXPECT_THAT(Plan(With("10.1.2.0/24,10.1.3.0/24")),
              HasSubstr("two IPv4 ranges"));
}

TEST(AddressingTest, ChecksOptionsBeforeAnythingIsDone) {
  EXPECT_TRUE(CheckOptions(Options()).ok());
  const auto error = [](void (*change)(Options&)) {
    Options options;
    change(options);
    const absl::Status status = CheckOptions(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(error([](Options& o) { o.parent = "a/b"; }),
              HasSubstr("network.parent: "));
  EXPECT_THAT(error([](Options& o) { o.host_link_name = "sixteen-bytes-xx"; }),
              HasSubstr("network.host_link_name: "));
  EXPECT_THAT(error([](Options& o) { o.host_link_name = "abcdefghijklm-p"; }),
              HasSubstr("network.host_link_name: "));
  EXPECT_THAT(error([](Options& o) { o.parent = "pinion-host"; }),
              HasSubstr("network.host_link_name: "));
  EXPECT_THAT(error([](Options& o) { o.host_link_name = "ph%d"; }),
              HasSubstr("network.host_link_name: \"ph%d\""));
  EXPECT_THAT(error([](Options& o) { o.parent = "default"; }),
              HasSubstr("network.parent: "));
  EXPECT_THAT(error([](Options& o) { o.interface_name = "all"; }),
              HasSubstr("network.interface_name: "));
  EXPECT_THAT(error([](Options& o) {
                o.mode = Options::Mode::kBridge;
                o.bridge_name = "pinion%d";
              }),
              HasSubstr("network.bridge_name: "));
  EXPECT_THAT(error([](Options& o) {
                o.mode = Options::Mode::kCni;
                o.interface_name = "lo";
              }),
              HasSubstr("network.interface_name: "));
  EXPECT_THAT(error([](Options& o) { o.mtu = 67; }), HasSubstr("network.mtu"));
  EXPECT_THAT(error([](Options& o) {
                o.mtu = 1279;
                o.range = "10.1.2.0/24,fd00:7::/64";
              }),
              HasSubstr("network.mtu: 1279 is less than IPv6 needs"));
  EXPECT_THAT(error([](Options& o) { o.range = "10.1.2.3/24"; }),
              HasSubstr("is 10.1.2.0/24 meant?"));
  EXPECT_THAT(error([](Options& o) { o.range = "10.1.2.3/32"; }),
              HasSubstr("no address left"));
  EXPECT_THAT(error([](Options& o) { o.subnet = "x"; }),
              HasSubstr("network.subnet: "));
  EXPECT_THAT(error([](Options& o) { o.gateway = "10.0.0.0/8"; }),
              HasSubstr("network.gateway: "));
  EXPECT_THAT(error([](Options& o) {
                o.range = "10.1.2.0/24";
                o.gateway = "fd00::1";
              }),
              HasSubstr("fd00::1: network.range has no IPv6 addresses"));
  EXPECT_THAT(error([](Options& o) { o.service_cidr = "10.0.0.1"; }),
              HasSubstr("network.service_cidr: "));
  EXPECT_THAT(error([](Options& o) { o.node_address = "node"; }),
              HasSubstr("network.node_address: "));
  EXPECT_THAT(error([](Options& o) { o.exclude = {"1.2.3"}; }),
              HasSubstr("network.exclude: "));
  EXPECT_THAT(error([](Options& o) { o.ipam_dir = ""; }),
              HasSubstr("directory"));
  EXPECT_THAT(error([](Options& o) { o.cool_down = -std::chrono::seconds(1); }),
              HasSubstr("network.cool_down"));
}

// The error of options with a parent whose addresses are not known.
std::string ErrorOnNic(void (*change)(Options&)) {
  Options options = With("10.50.7.0/24");
  options.parent = "nic";
  change(options);
  return std::string(CheckOptions(options).message());
}

TEST(AddressingTest, WhatFailsWhateverAddressesTheParentHasIsToldBefore) {
  EXPECT_THAT(ErrorOnNic([](Options& o) { o.exclude = {"10.50.0.0/16"}; }),
              HasSubstr("10.50.7.0/24 has no address left"));
  EXPECT_THAT(ErrorOnNic([](Options& o) {
                o.range = "10.50.7.0/30";
                o.gateway = "10.50.7.1";
                o.node_address = "10.50.7.2";
              }),
              HasSubstr("no address left"));
  EXPECT_THAT(ErrorOnNic([](Options& o) { o.subnet = "10.50.7.0/25"; }),
              HasSubstr("network.subnet: the range 10.50.7.0/24"));
  for (const char* overlapping :
       {"0.0.0.0/0", "10.50.0.0/16", "10.50.7.64/26"}) {
    Options options = With("10.50.7.0/24");
    options.parent = "nic";
    options.service_cidr = overlapping;
    EXPECT_THAT(std::string(CheckOptions(options).message()),
                HasSubstr("network.service_cidr: "));
  }
  EXPECT_THAT(ErrorOnNic([](Options& o) {
                o.range = "";
                o.service_cidr = "0.0.0.0/0";
              }),
              HasSubstr("network.service_cidr: 0.0.0.0/0 has every address"));
  EXPECT_THAT(ErrorOnNic([](Options& o) { o.gateway = "0.0.0.0"; }),
              HasSubstr("network.gateway: 0.0.0.0 is of 0.0.0.0/8"));
  EXPECT_THAT(ErrorOnNic([](Options& o) {
                o.subnet = "10.50.0.0/16";
                o.gateway = "10.50.0.0";
              }),
              HasSubstr("10.50.0.0 is the network itself of"));
  EXPECT_THAT(ErrorOnNic([](Options& o) {
                o.range = "";
                o.subnet = "10.50.0.0/16";
                o.gateway = "10.50.255.255";
              }),
              HasSubstr("is the broadcast address of"));
  EXPECT_THAT(ErrorOnNic([](Options& o) { o.parent = "lo"; }),
              HasSubstr("network.parent: lo is the loopback"));
}

TEST(AddressingTest, WhatTheParentsAddressesMayMendIsNotRefused) {
  const auto fine = [](const std::string& range, const std::string& gateway) {
    Options options = With(range);
    options.parent = "nic";
    options.gateway = gateway;
    return std::string(CheckOptions(options).message());
  };
  EXPECT_EQ(fine("10.50.7.5-10.50.7.9", ""), "");
  EXPECT_EQ(fine("10.50.7.5/32", ""), "");
  EXPECT_EQ(fine("10.50.7.0/24", "10.50.255.1"), "");
  EXPECT_EQ(fine("10.50.7.0/24,fd50::7:0/112", "10.50.255.1,fd50::"), "");
  // An ipvlan's host link has an address of its own.
  Options ipvlan = With("10.50.7.5/32");
  ipvlan.parent = "nic";
  ipvlan.mode = Options::Mode::kIpvlan;
  EXPECT_THAT(std::string(CheckOptions(ipvlan).message()),
              HasSubstr("no address left"));
}

TEST(AddressingTest, AGatewayIsNotTheParentsNetworkItself) {
  Options options = With("10.50.7.0/24");
  options.gateway = "10.50.0.0";
  EXPECT_THAT(Plan(options, {"10.50.0.1/16"}),
              HasSubstr("network.gateway: 10.50.0.0 is the network itself"));
}

TEST(AddressingTest, NamesFitIntoTheKernels15Bytes) {
  EXPECT_EQ(AutoParentName("pinion-host"), "pinion-host-p");
  EXPECT_EQ(AutoParentPeerName("pinion-host"), "pinion-host-q");
  EXPECT_EQ(AutoParentName("123456789012345"), "1234567890123-p");
}

TEST(AddressingTest, ARangeIsMadeUpOfFewPrefixes) {
  const auto prefixes = [](const std::string& range) {
    std::vector<std::string> texts;
    for (const auto& prefix : RangePrefixes(*ipam::IpRange::Parse(range))) {
      texts.push_back(prefix.ToString());
    }
    return texts;
  };
  EXPECT_THAT(prefixes("10.0.0.0/24"), ElementsAre("10.0.0.0/24"));
  EXPECT_THAT(prefixes("fd00::/64"), ElementsAre("fd00::/64"));
  EXPECT_THAT(prefixes("0.0.0.0/0"), ElementsAre("0.0.0.0/0"));
  EXPECT_THAT(prefixes("255.255.255.254-255.255.255.255"),
              ElementsAre("255.255.255.254/31"));
  EXPECT_THAT(prefixes("10.0.0.5-10.0.0.18"),
              ElementsAre("10.0.0.5/32", "10.0.0.6/31", "10.0.0.8/29",
                          "10.0.0.16/31", "10.0.0.18/32"));
}

}  // namespace
}  // namespace pinion::network
