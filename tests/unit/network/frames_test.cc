// What goes on the wire: MAC addresses and announcements.

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/escaping.h"
#include "network/mac.h"
#include "network/neighbour_frames.h"

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

TEST(ProbeTest, AsksWithoutSayingThatItHasTheAddress) {
  EXPECT_EQ(absl::BytesToHexString(
                ProbeFrame(Address("10.1.2.3"), {0x6a, 1, 2, 3, 4, 5})),
            "ffffffffffff6a01020304050806"
            "0001080006040001"
            "6a010203040500000000"
            "0000000000000a010203");
  // To the solicited-node group, from the unspecified address.
  const std::string frame =
      ProbeFrame(Address("fd00::12:3456"), {0x6a, 1, 2, 3, 4, 5});
  EXPECT_EQ(absl::BytesToHexString(frame.substr(0, 54)),
            "3333ff1234566a010203040586dd"
            "6000000000183aff"
            "00000000000000000000000000000000"
            "ff0200000000000000000001ff123456");
  EXPECT_EQ(absl::BytesToHexString(frame.substr(54, 2)), "8700");
  EXPECT_EQ(absl::BytesToHexString(frame.substr(58)),
            "00000000fd000000000000000000000000123456");
}

// Frames that say who has an address, or is about to take it.
TEST(ReadClaimTest, ReadsWhatStationsSay) {
  const MacAddress mac = {0x6a, 1, 2, 3, 4, 5};
  for (const char* text : {"10.1.2.3", "fd00::12:3456"}) {
    for (const auto& make : {AnnouncementFrame, ProbeFrame}) {
      // Ethernet fills short frames up.
      const std::string frame = make(Address(text), mac) + std::string(18, 0);
      const std::optional<AddressClaim> claim = ReadClaim(frame);
      ASSERT_TRUE(claim.has_value()) << text;
      EXPECT_EQ(claim->address, Address(text));
      EXPECT_EQ(claim->mac, mac);
    }
  }
  // An answer to a question: the sender's address counts.
  std::string reply = AnnouncementFrame(Address("10.1.2.3"), mac);
  reply[21] = 2;
  reply.replace(38, 4, std::string("\x0a\x01\x02\x09", 4));
  ASSERT_TRUE(ReadClaim(reply).has_value());
  EXPECT_EQ(ReadClaim(reply)->address, Address("10.1.2.3"));
}

TEST(ReadClaimTest, LeavesOtherFramesAside) {
  const MacAddress mac = {0x6a, 1, 2, 3, 4, 5};
  const std::string arp = AnnouncementFrame(Address("10.1.2.3"), mac);
  const std::string told = AnnouncementFrame(Address("fd00::1"), mac);
  const std::string asked = ProbeFrame(Address("fd00::1"), mac);
  for (const std::string& frame : {arp, told, asked}) {
    const size_t whole = frame == arp ? 14 + 28 : 14 + 40 + 24;
    for (size_t size = 0; size < whole; ++size) {
      EXPECT_FALSE(ReadClaim(frame.substr(0, size)).has_value()) << size;
    }
    EXPECT_TRUE(ReadClaim(frame.substr(0, whole)).has_value());
  }
  struct Change {
    const std::string& frame;
    size_t at;
    char byte;
    const char* what;
  };
  for (const Change& change : {
           Change{arp, 13, 0, "another EtherType"},
           Change{arp, 15, 6, "another hardware"},
           Change{arp, 17, 1, "another protocol"},
           Change{told, 14, 0x45, "IPv4 in an IPv6 frame"},
           Change{told, 20, 17, "UDP"},
           Change{told, 21, 64, "from beyond a router"},
           Change{told, 54, char(128), "an echo request"},
           Change{asked, 22, char(0xfe), "a question of who has an address"},
       }) {
    std::string frame = change.frame;
    frame[change.at] = change.byte;
    EXPECT_FALSE(ReadClaim(frame).has_value()) << change.what;
  }
}

}  // namespace
}  // namespace pinion::network
