#include "cri/field.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::cri {
namespace {

using ::testing::HasSubstr;

TEST(FieldTest, RendersThePathAsTheCriSpellsIt) {
  const Field config("config");
  const Field mounts = config.Sub("mounts");
  const Field mount = mounts.At(2);
  EXPECT_EQ(mount.Sub("host_path").ToString(), "config.mounts[2].host_path");
}

TEST(FieldTest, RefusalShowsFieldValueAndRule) {
  EXPECT_EQ(Refuse(Field("timeout"), -1, "must not be negative").message(),
            "timeout -1: must not be negative");
  EXPECT_EQ(Refuse(Field("a"), "x", "is bad").message(), "a \"x\": is bad");
}

TEST(QuotedTest, EscapesWhatCouldForgeALogLine) {
  EXPECT_EQ(Quoted("a\nb\"c\x1b\xff"), "\"a\\nb\\\"c\\x1b\\xff\"");
}

TEST(QuotedTest, CutsLongValues) {
  const std::string shown = Quoted(std::string(10'000'000, 'x'));
  EXPECT_LT(shown.size(), 100u);
  EXPECT_THAT(shown, HasSubstr("(10000000 bytes)"));
}

TEST(CheckNameTest, AcceptsOnePathComponent) {
  const Field field("n");
  EXPECT_TRUE(CheckName(field, "kube-proxy", 63).ok());
  for (const std::string bad :
       {"", "a/b", "..", ".", "a\nb", "../../etc/passwd"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckName(field, bad, 63))) << bad;
  }
  EXPECT_FALSE(CheckName(field, std::string("a\0b", 3), 63).ok());
  EXPECT_TRUE(CheckName(field, std::string(63, 'a'), 63).ok());
  EXPECT_FALSE(CheckName(field, std::string(64, 'a'), 63).ok());
}

TEST(CheckPathTest, AbsolutePaths) {
  const Field field("p");
  EXPECT_TRUE(CheckAbsolutePath(field, "/a/../b").ok());
  EXPECT_FALSE(CheckAbsolutePath(field, "").ok());
  EXPECT_FALSE(CheckAbsolutePath(field, "a").ok());
  EXPECT_FALSE(CheckAbsolutePath(field, std::string("/a\0b", 4)).ok());
  EXPECT_TRUE(CheckAbsolutePath(field, "/" + std::string(4094, 'a')).ok());
  EXPECT_FALSE(CheckAbsolutePath(field, "/" + std::string(4095, 'a')).ok());
}

TEST(CheckPathTest, RelativePathsStayBelow) {
  const Field field("p");
  for (const std::string good : {"a", "a/b.log", "..a/b..", "a/./b"}) {
    EXPECT_TRUE(CheckRelativePath(field, good).ok()) << good;
  }
  for (const std::string bad : {"", "/a", "..", "../a", "a/..", "a/../b"}) {
    EXPECT_FALSE(CheckRelativePath(field, bad).ok()) << bad;
  }
}

TEST(CheckUnixIdTest, TakesZeroTo31Bits) {
  const Field field("id");
  EXPECT_TRUE(CheckUnixId(field, 0).ok());
  EXPECT_TRUE(CheckUnixId(field, 2147483647).ok());
  EXPECT_FALSE(CheckUnixId(field, -1).ok());
  EXPECT_FALSE(CheckUnixId(field, 2147483648).ok());
}

TEST(CheckIpAddressTest, TakesBothFamiliesAndZones) {
  const Field field("ip");
  for (const std::string good :
       {"10.0.0.1", "::1", "fe80::1%eth0", "2001:db8::53"}) {
    EXPECT_TRUE(CheckIpAddress(field, good).ok()) << good;
  }
  for (const std::string bad :
       {"", "10.0.0", "dns.example", "10.0.0.1%eth0", "fe80::1%", "fe80::1%a b",
        "1.2.3.4\nnameserver 6.6.6.6"}) {
    EXPECT_FALSE(CheckIpAddress(field, bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace pinion::cri
