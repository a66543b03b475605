#include "ipam/ip_address.h"

#include <gtest/gtest.h>

namespace pinion::ipam {
namespace {

IpAddress Address(const char* text) { return *IpAddress::Parse(text); }

TEST(IpAddressTest, PrintsWhatItParsed) {
  for (const char* text :
       {"0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "::1", "fd00:1::2a",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}) {
    EXPECT_EQ(Address(text).ToString(), text);
  }
}

TEST(IpAddressTest, RefusesWhatIsNoAddress) {
  using std::string_literals::operator""s;
  for (const std::string& text :
       {""s, "10.0.0"s, "10.0.0.256"s, "10.0.0.1/8"s, " 10.0.0.1"s,
        "10.0.0.01x"s, "fe80::1%eth0"s, "1::2::3"s, "10.0.0.1\0x"s}) {
    EXPECT_EQ(IpAddress::Parse(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(IpAddressTest, AddsAcrossTheWordsOfAnIpv6Address) {
  EXPECT_EQ(Address("fd00::ffff:ffff:ffff:ffff").Plus(1),
            Address("fd00:0:0:1::"));
  EXPECT_EQ(
      Address("fd00:0:0:1::").OffsetFrom(Address("fd00::ffff:ffff:ffff:ffff")),
      1u);
  EXPECT_EQ(Address("fd00:0:0:1::").OffsetFrom(Address("fd00::")),
            std::nullopt);
}

TEST(IpAddressTest, EndsWhereTheFamilyEnds) {
  EXPECT_EQ(Address("255.255.255.255").Plus(1), std::nullopt);
  EXPECT_EQ(Address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").Plus(1),
            std::nullopt);
  EXPECT_EQ(Address("10.0.0.1").OffsetFrom(Address("10.0.0.2")), std::nullopt);
  EXPECT_EQ(Address("10.0.0.1").OffsetFrom(Address("::")), std::nullopt);
}

TEST(IpPrefixTest, PrintsWhatItParsed) {
  for (const char* text :
       {"0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "192.168.7.254/31", "::/0",
        "fd00:1::/64", "fd00::1/128"}) {
    EXPECT_EQ(IpPrefix::Parse(text)->ToString(), text);
  }
}

TEST(IpPrefixTest, RefusesWhatIsNoPrefixAndSuggestsTheNetwork) {
  for (const char* text :
       {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
        "10.0.0.0/8x", "10.0.0.0/ 8", "::/129", "/8"}) {
    EXPECT_EQ(IpPrefix::Parse(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
  const absl::Status status = IpPrefix::Parse("10.1.2.3/16").status();
  EXPECT_EQ(status.message(),
            "\"10.1.2.3/16\" has host bits set; is 10.1.0.0/16 meant?");
}

TEST(IpPrefixTest, KnowsItsLastAddressAndWhatItContains) {
  const IpPrefix v4 = *IpPrefix::Parse("10.1.0.0/16");
  EXPECT_EQ(v4.Last(), Address("10.1.255.255"));
  EXPECT_TRUE(v4.Contains(Address("10.1.200.3")));
  EXPECT_FALSE(v4.Contains(Address("10.2.0.0")));
  EXPECT_FALSE(v4.Contains(Address("::")));
  EXPECT_TRUE(v4.Contains(*IpPrefix::Parse("10.1.4.0/24")));
  EXPECT_FALSE(v4.Contains(*IpPrefix::Parse("10.0.0.0/8")));
  const IpPrefix v6 = *IpPrefix::Parse("fd00::/72");
  EXPECT_EQ(v6.Last(), Address("fd00::ff:ffff:ffff:ffff"));
  EXPECT_TRUE(v6.Contains(Address("fd00::ff:0:0:1")));
  EXPECT_FALSE(v6.Contains(Address("fd00::100:0:0:0")));
}

TEST(PerFamilyTest, TakesOneOfEachFamily) {
  EXPECT_TRUE(ParsePrefixPerFamily("")->empty());
  EXPECT_TRUE(ParsePrefixPerFamily("  ")->empty());
  const auto both = ParsePrefixPerFamily("10.0.0.0/24, fd00::/64");
  ASSERT_TRUE(both.ok()) << both.status();
  ASSERT_EQ(both->size(), 2u);
  EXPECT_EQ((*both)[1].ToString(), "fd00::/64");
  EXPECT_FALSE(ParsePrefixPerFamily("10.0.0.0/24,10.0.1.0/24").ok());
  EXPECT_FALSE(ParsePrefixPerFamily("10.0.0.0/24,").ok());
  EXPECT_EQ(ParseAddressPerFamily("10.0.0.1")->at(0), Address("10.0.0.1"));
}

}  // namespace
}  // namespace pinion::ipam
