// What goes on the wire: MAC addresses and announcements.

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/escaping.h"
#include "network/announcer.h"
#include "network/mac.h"

namespace pinion::network {
namespace {

ipam::IpAddress Address(const char* text) {
  return *ipam::IpAddress::Parse(text);
}

TEST(MacTest, FollowsFromTheAddress) {
  EXPECT_EQ(MacToString(MacFor(Address("10.1.2.255"))), "6e:70:0a:01:02:ff");
  EXPECT_EQ(MacFor(Address("fd00::1")), MacFor(Address("fd00::1")));
}

TEST(MacTest, IsLocallyAdministeredUnicastAndDistinct) {
  std::set<MacAddress> macs;
  for (uint64_t i = 0; i < 65536; ++i) {
    const MacAddress mac = MacFor(*Address("fd00:1:2::").Plus(i));
    EXPECT_EQ(mac[0] & 3, 2);
    macs.insert(mac);
  }
  EXPECT_EQ(macs.size(), 65536u);
  EXPECT_EQ(MacFor(Address("10.0.0.1"))[0] & 3, 2);
}

TEST(MacTest, GivesTheLinkLocalAddress) {
  EXPECT_EQ(LinkLocalFor({0x6e, 0x70, 10, 7, 1, 1}).ToString(),
            "fe80::6c70:aff:fe07:101");
}

TEST(AnnouncementTest, IsAnArpRequestForItself) {
  const std::string frame =
      AnnouncementFrame(Address("10.1.2.3"), MacFor(Address("10.1.2.3")));
  EXPECT_EQ(absl::BytesToHexString(frame),
            "ffffffffffff6e700a0102030806"
            "0001080006040001"
            "6e700a0102030a010203"
            "0000000000000a010203");
}

TEST(AnnouncementTest, IsANeighbourAdvertisementWithARightChecksum) {
  const MacAddress mac = {0x6a, 1, 2, 3, 4, 5};
  const std::string frame = AnnouncementFrame(Address("fd00::1:2"), mac);
  ASSERT_EQ(frame.size(), 14u + 40 + 32);
  EXPECT_EQ(absl::BytesToHexString(frame.substr(0, 14)),
            "3333000000016a010203040586dd");
  EXPECT_EQ(absl::BytesToHexString(frame.substr(14, 8)),
            "60000000"
            "0020"
            "3aff");
  EXPECT_EQ(absl::BytesToHexString(frame.substr(54, 2)), "8800");
  // With the checksum in place the sum over pseudo-header and message is
  // all ones (RFC 1071).
  std::string summed = frame.substr(22, 32);
  summed += std::string("\0\0\0\x20\0\0\0\x3a", 8) + frame.substr(54);
  uint32_t sum = 0;
  for (size_t i = 0; i < summed.size(); i += 2) {
    sum += static_cast<uint32_t>(static_cast<uint8_t>(summed[i]) << 8 |
                                 static_cast<uint8_t>(summed[i + 1]));
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  EXPECT_EQ(sum, 0xffffu);
}

}  // namespace
}  // namespace pinion::network
