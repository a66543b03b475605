#include "ipam/ip_range.h"

#include <gtest/gtest.h>

#include <vector>

namespace pinion::ipam {
namespace {

IpRange Range(const char* text) { return *IpRange::Parse(text); }
IpAddress Address(const char* text) { return *IpAddress::Parse(text); }
IpPrefix Prefix(const char* text) { return *IpPrefix::Parse(text); }

std::vector<std::string> Usable(const IpRange& range) {
  std::vector<std::string> addresses;
  for (uint64_t i = 0; i < range.size(); ++i) {
    if (range.IsUsable(i)) addresses.push_back(range.At(i).ToString());
  }
  EXPECT_EQ(range.usable(), addresses.size());
  return addresses;
}

using Addresses = std::vector<std::string>;

TEST(IpRangeTest, LeavesOutNetworkAndBroadcastAddress) {
  IpRange range = Range("10.0.0.0/29");
  range.ExcludeReserved(Prefix("10.0.0.0/29"));
  EXPECT_EQ(Usable(range), (Addresses{"10.0.0.1", "10.0.0.2", "10.0.0.3",
                                      "10.0.0.4", "10.0.0.5", "10.0.0.6"}));
  EXPECT_EQ(range.FirstUsable(), Address("10.0.0.1"));
}

TEST(IpRangeTest, UsesBothAddressesOfA31AndTheOneOfA32) {
  IpRange pair = Range("10.0.0.4/31");
  pair.ExcludeReserved(Prefix("10.0.0.4/31"));
  EXPECT_EQ(Usable(pair), (Addresses{"10.0.0.4", "10.0.0.5"}));
  IpRange one = Range("10.0.0.4/32");
  one.ExcludeReserved(Prefix("10.0.0.4/32"));
  EXPECT_EQ(Usable(one), Addresses{"10.0.0.4"});
}

TEST(IpRangeTest, KeepsItsEndsInsideALargerSubnet) {
  IpRange range = Range("10.0.0.8/30");
  range.ExcludeReserved(Prefix("10.0.0.0/24"));
  EXPECT_EQ(range.usable(), 4u);
  IpRange last = Range("10.0.0.252/30");
  last.ExcludeReserved(Prefix("10.0.0.0/24"));
  EXPECT_EQ(Usable(last),
            (Addresses{"10.0.0.252", "10.0.0.253", "10.0.0.254"}));
}

TEST(IpRangeTest, LeavesOutTheRouterAnycastAddressOfIpv6) {
  IpRange range = Range("fd00::/126");
  range.ExcludeReserved(Prefix("fd00::/126"));
  EXPECT_EQ(Usable(range), (Addresses{"fd00::1", "fd00::2", "fd00::3"}));
}

TEST(IpRangeTest, ManagesAWindowOfALargeRange) {
  const IpRange range = Range("fd00::/64");
  EXPECT_EQ(range.size(), IpRange::kMaxWindow);
  EXPECT_TRUE(range.Contains(Address("fd00::ffff")));
  EXPECT_FALSE(range.Contains(Address("fd00::1:0")));
  EXPECT_EQ(Range("::/0").size(), IpRange::kMaxWindow);
  EXPECT_EQ(Range("10.0.0.0/8").size(), IpRange::kMaxWindow);
  EXPECT_EQ(Range("10.0.0.0/16").size(), 65536u);
}

TEST(IpRangeTest, TakesTwoEnds) {
  const IpRange range = Range("10.0.0.250-10.0.1.4");
  EXPECT_EQ(range.size(), 11u);
  EXPECT_EQ(range.At(10), Address("10.0.1.4"));
  EXPECT_EQ(range.name(), "10.0.0.250-10.0.1.4");
  EXPECT_EQ(Range("10.0.0.9").size(), 1u);
}

TEST(IpRangeTest, RefusesBadTexts) {
  for (const char* text : {"", "-", "10.0.0.9-10.0.0.8", "10.0.0.1-fd00::1",
                           "10.0.0.1-", "10.0.0.1-2", "10.0.0.1/24"}) {
    EXPECT_EQ(IpRange::Parse(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(IpRangeTest, ExclusionsOverlapAndTouch) {
  IpRange range = Range("10.0.0.0/28");
  range.Exclude(Range("10.0.0.2-10.0.0.3"));
  range.Exclude(Range("10.0.0.6-10.0.0.8"));
  range.Exclude(Address("10.0.0.4"));
  range.Exclude(Range("10.0.0.3-10.0.0.7"));
  range.Exclude(Address("10.0.0.0"));
  range.Exclude(Address("10.0.0.15"));
  EXPECT_EQ(Usable(range),
            (Addresses{"10.0.0.1", "10.0.0.9", "10.0.0.10", "10.0.0.11",
                       "10.0.0.12", "10.0.0.13", "10.0.0.14"}));
}

TEST(IpRangeTest, ExclusionsReachBeyondTheRange) {
  IpRange range = Range("10.5.0.0/29");
  range.Exclude(Range("10.4.255.0-10.5.0.1"));
  range.Exclude(Range("10.5.0.6-10.6.0.0"));
  range.Exclude(Range("10.5.0.8/29"));
  range.Exclude(Range("fd00::/64"));
  EXPECT_EQ(Usable(range),
            (Addresses{"10.5.0.2", "10.5.0.3", "10.5.0.4", "10.5.0.5"}));
  // Larger than any window, and starting long before the range.
  range.Exclude(Range("10.0.0.0/8"));
  EXPECT_EQ(range.usable(), 0u);
  EXPECT_EQ(range.FirstUsable(), std::nullopt);
}

}  // namespace
}  // namespace pinion::ipam
