#include "network/pod_range.h"

#include <gtest/gtest.h>

namespace pinion::network {
namespace {

bool Good(const std::string& range) {
  return CheckPodRange(*ipam::IpRange::Parse(range)).ok();
}

TEST(PodRangeTest, HasAddressesOfHostsOnly) {
  for (const char* range :
       {"10.0.0.0/8", "1.0.0.0-126.255.255.255", "128.0.0.0/16",
        "169.253.0.0/16", "169.255.0.0/16", "192.168.0.0/16",
        "223.255.255.0/24", "fd00::/64", "2001:db8::/64", "0:0:0:1::/64",
        "fec0::/64", "fe7f::/16"}) {
    EXPECT_TRUE(Good(range)) << range;
  }
  for (const char* range :
       {"0.0.0.0/0", "0.0.0.0/8", "126.0.0.0-128.0.0.0", "64.0.0.0/2",
        "127.0.0.0/24", "169.254.7.0/24", "168.0.0.0/7", "224.0.0.0/24",
        "240.0.0.0/24", "223.255.255.255-224.0.0.0", "::/0", "::/120",
        "::ffff:10.0.0.0/120", "fe80::/64", "febf::/16", "ff02::/64",
        "fd00::-fe80::1"}) {
    EXPECT_FALSE(Good(range)) << range;
  }
}

TEST(PodRangeTest, AHostsAddressIsOfNoSuchPrefix) {
  for (const char* address : {"10.0.0.0", "169.255.0.1", "fd00::1"}) {
    EXPECT_TRUE(CheckHostAddress(*ipam::IpAddress::Parse(address)).ok());
  }
  for (const char* address :
       {"0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:10.0.0.1", "fe80::1", "ff02::1"}) {
    EXPECT_FALSE(CheckHostAddress(*ipam::IpAddress::Parse(address)).ok())
        << address;
  }
}

TEST(PodRangeTest, ANodeMayBeReachedByItsLoopbackAndLinkLocalAddresses) {
  for (const char* address :
       {"10.0.0.1", "127.0.0.1", "169.254.1.1", "fd00::1", "fe80::1"}) {
    EXPECT_TRUE(CheckNodeAddress(*ipam::IpAddress::Parse(address)).ok())
        << address;
  }
  for (const char* address : {"0.0.0.1", "224.0.0.1", "255.255.255.255", "::1",
                              "::ffff:10.50.0.1", "ff02::1"}) {
    EXPECT_FALSE(CheckNodeAddress(*ipam::IpAddress::Parse(address)).ok())
        << address;
  }
}

}  // namespace
}  // namespace pinion::network
