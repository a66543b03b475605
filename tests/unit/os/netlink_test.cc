#include "os/netlink.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>

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

// A thread in a network namespace of its own, which goes with it.
void InNewNamespace(const std::function<void()>& work) {
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << strerror(errno);
    work();
  }).join();
}

void SetMtu(NetlinkSocket& socket, uint32_t mtu) {
  NetlinkBatch batch;
  batch.Begin(RTM_NEWLINK, 0, Link(1), "set the MTU of lo");
  batch.AddU32(IFLA_MTU, mtu);
  ASSERT_TRUE(socket.Transact(batch).ok());
}

TEST(NetlinkTest, WhatHappensAfterLostMessagesIsHeard) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  InNewNamespace([] {
    auto events = NetlinkSocket::Open(RTMGRP_LINK);
    auto socket = NetlinkSocket::Open();
    ASSERT_TRUE(events.ok() && socket.ok());
    // The kernel makes the least of it that it allows: a few messages.
    const int bytes = 1;
    ASSERT_EQ(
        setsockopt(events->fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)),
        0);
    for (uint32_t mtu = 2000; mtu < 2040; ++mtu) SetMtu(*socket, mtu);
    uint32_t heard = 0;
    const auto listen = [&heard](const NetlinkMessage& message) {
      heard = NetlinkMessage::U32(
          NetlinkMessage::Find(message.Attributes(sizeof(ifinfomsg)), IFLA_MTU),
          0);
    };
    EXPECT_TRUE(absl::IsUnavailable(events->Receive(listen)));
    EXPECT_LT(heard, 2039u);
    SetMtu(*socket, 9000);
    EXPECT_TRUE(events->Receive(listen).ok());
    EXPECT_EQ(heard, 9000u);
  });
}

// A message of an answer, with the name of a link.
void AppendLink(std::string* datagram, uint32_t sequence, uint16_t flags,
                const std::string& name) {
  const auto pad = [](size_t size) { return (4 - size % 4) % 4; };
  nlattr attribute{};
  attribute.nla_type = IFLA_IFNAME;
  attribute.nla_len = static_cast<uint16_t>(NLA_HDRLEN + name.size() + 1);
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof(ifinfomsg)) +
                                           attribute.nla_len);
  header.nlmsg_type = RTM_NEWLINK;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = sequence;
  const ifinfomsg link = Link(1);
  datagram->append(reinterpret_cast<const char*>(&header), sizeof(header));
  datagram->append(reinterpret_cast<const char*>(&link), sizeof(link));
  datagram->append(reinterpret_cast<const char*>(&attribute),
                   sizeof(attribute));
  datagram->append(name.c_str(), name.size() + 1);
  datagram->append(pad(name.size() + 1), '\0');
}

void AppendDone(std::string* datagram, uint32_t sequence, uint16_t flags) {
  nlmsghdr header{};
  header.nlmsg_len = NLMSG_LENGTH(0);
  header.nlmsg_type = NLMSG_DONE;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = sequence;
  datagram->append(reinterpret_cast<const char*>(&header), sizeof(header));
}

// The kernel cannot be made to interrupt a dump at will: its part is played
// over a socket that keeps messages apart as well.
class InterruptedDumpTest : public testing::Test {
 protected:
  InterruptedDumpTest() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    ours_ = UniqueFd(ends[0]);
    kernels_ = UniqueFd(ends[1]);
    // The first question is not answered but tells where numbers are.
    EXPECT_TRUE(absl::IsInternal(Dump()));
    nlmsghdr request{};
    EXPECT_GE(recv(kernels_.get(), &request, sizeof(request), 0),
              static_cast<ssize_t>(sizeof(request)));
    next_ = request.nlmsg_seq + 1;
  }

  absl::Status Dump() {
    NetlinkSocket socket = NetlinkSocket::Borrow(ours_.get());
    NetlinkBatch batch;
    batch.Begin(RTM_GETLINK, NLM_F_DUMP, Link(0), "list links");
    names_ = "";
    return socket.Query(batch, [this](const NetlinkMessage& message) {
      names_ += NetlinkMessage::String(NetlinkMessage::Find(
          message.Attributes(sizeof(ifinfomsg)), IFLA_IFNAME));
    });
  }
  // Answers the next question.
  void Answer(const std::string& name, bool interrupted) {
    const uint16_t flags = interrupted ? NLM_F_DUMP_INTR : 0;
    std::string datagram;
    AppendLink(&datagram, next_, NLM_F_MULTI, name);
    AppendDone(&datagram, next_, static_cast<uint16_t>(NLM_F_MULTI | flags));
    ++next_;
    EXPECT_EQ(send(kernels_.get(), datagram.data(), datagram.size(), 0),
              static_cast<ssize_t>(datagram.size()));
  }

  UniqueFd ours_, kernels_;
  uint32_t next_ = 0;
  std::string names_;
};

TEST_F(InterruptedDumpTest, IsMadeAnew) {
  Answer("a", true);
  Answer("b", true);
  Answer("c", false);
  EXPECT_TRUE(Dump().ok());
  EXPECT_EQ(names_, "c");
}

TEST_F(InterruptedDumpTest, IsTakenAsItIsInTheEnd) {
  for (const char* const name : {"1", "2", "3", "4", "5", "6", "7", "8"}) {
    Answer(name, true);
  }
  testing::internal::CaptureStderr();
  EXPECT_TRUE(Dump().ok());
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::HasSubstr("may lack something request=\"list links\""));
  EXPECT_EQ(names_, "8");
  // One that was whole in the end has nothing to be said of.
  Answer("9", true);
  Answer("10", false);
  testing::internal::CaptureStderr();
  EXPECT_TRUE(Dump().ok());
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace pinion::os
