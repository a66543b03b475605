#include "os/netlink.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "os/unique_fd.h"

namespace pinion::os {
namespace {

using testing::HasSubstr;

ifinfomsg Link(int index) {
  ifinfomsg header{};
  header.ifi_index = index;
  return header;
}

TEST(NetlinkTest, AsksAndIsAnswered) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  ASSERT_TRUE(socket.ok()) << socket.status();
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, 0, Link(1), "get loopback");
  std::string name;
  int messages = 0;
  ASSERT_TRUE(
      socket
          ->Query(batch,
                  [&](const NetlinkMessage& message) {
                    ++messages;
                    ASSERT_NE(message.header<ifinfomsg>(), nullptr);
                    name = NetlinkMessage::String(NetlinkMessage::Find(
                        message.Attributes(sizeof(ifinfomsg)), IFLA_IFNAME));
                  })
          .ok());
  EXPECT_EQ(messages, 1);
  EXPECT_EQ(name, "lo");
}

TEST(NetlinkTest, DumpsEverything) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  ASSERT_TRUE(socket.ok());
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, NLM_F_DUMP, Link(0), "list links");
  int links = 0;
  ASSERT_TRUE(
      socket->Query(batch, [&](const NetlinkMessage&) { ++links; }).ok());
  EXPECT_GE(links, 1);
}

TEST(NetlinkTest, TheFirstFailureOfABatchIsTold) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  ASSERT_TRUE(socket.ok());
  NetlinkBatch batch;
  // Numbers that no device has; nothing is changed on this machine.
  batch.Begin(RTM_DELLINK, 0, Link(0x7ffffff0), "delete first");
  batch.Begin(RTM_DELLINK, 0, Link(0x7ffffff1), "delete second");
  const absl::Status status = socket->Transact(batch);
  EXPECT_THAT(std::string(status.message()), HasSubstr("delete first"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("ENODEV"));
  EXPECT_EQ(NetlinkErrno(status), ENODEV);
  EXPECT_EQ(NetlinkErrno(absl::InternalError("x")), 0);
  // The socket is in order afterwards.
  NetlinkBatch empty;
  EXPECT_TRUE(socket->Transact(empty).ok());
  NetlinkBatch again;
  again.Begin(RTM_DELLINK, 0, Link(0x7ffffff2), "delete third");
  EXPECT_THAT(std::string(socket->Transact(again).message()),
              HasSubstr("delete third"));
}

TEST(NetlinkTest, ABorrowedSocketStaysOpen) {
  absl::StatusOr<NetlinkSocket> owner = NetlinkSocket::Open();
  ASSERT_TRUE(owner.ok());
  { const NetlinkSocket borrowed = NetlinkSocket::Borrow(owner->fd()); }
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, 0, Link(1), "get loopback");
  EXPECT_TRUE(owner->Query(batch, [](const NetlinkMessage&) {}).ok());
}

TEST(NetlinkTest, AClosedSocketIsAnError) {
  NetlinkSocket socket = NetlinkSocket::Borrow(-1);
  NetlinkBatch batch;
  batch.Begin(RTM_GETLINK, 0, Link(1), "get loopback");
  EXPECT_EQ(NetlinkErrno(socket.Transact(batch)), EBADF);
}

TEST(NetlinkTest, FindsAttributesAndStopsAtBrokenOnes) {
  const auto attribute = [](uint16_t type, const std::string& content,
                            int length = -1) {
    nlattr header{};
    header.nla_type = type;
    header.nla_len = static_cast<uint16_t>(
        length >= 0 ? length : static_cast<int>(NLA_HDRLEN + content.size()));
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
    bytes += content;
    bytes.resize(NLA_ALIGN(bytes.size()));
    return bytes;
  };
  const std::string good =
      attribute(1, "one") + attribute(2 | NLA_F_NESTED, "twotwo");
  EXPECT_EQ(NetlinkMessage::String(NetlinkMessage::Find(good, 1)), "one");
  EXPECT_EQ(NetlinkMessage::String(NetlinkMessage::Find(good, 2)), "twotwo");
  EXPECT_TRUE(NetlinkMessage::Find(good, 3).empty());
  for (const int length : {0, 3, 100}) {
    const std::string bad = attribute(1, "one", length) + attribute(2, "two");
    EXPECT_TRUE(NetlinkMessage::Find(bad, 2).empty()) << length;
  }
  EXPECT_TRUE(NetlinkMessage::Find({}, 1).empty());
  EXPECT_EQ(NetlinkMessage::U32({}, 7), 7u);
}

}  // namespace
}  // namespace pinion::os
