#include "runtime/monitor/protocol.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "os/unique_fd.h"
#include "tests/support/child.h"

namespace pinion::monitor {
namespace {

class ProtocolTest : public testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    left_ = os::UniqueFd(ends[0]);
    right_ = os::UniqueFd(ends[1]);
    null_ = os::UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  }

  static size_t OpenFds() {
    size_t count = 0;
    for (int fd = 0; fd < 256; ++fd) count += fcntl(fd, F_GETFD) >= 0;
    return count;
  }

  os::UniqueFd left_, right_, null_;
  alignas(8) char buffer_[kMaxMessage];
};

TEST_F(ProtocolTest, FieldsComeBackByTag) {
  MessageWriter writer(buffer_, sizeof(buffer_), 7, 42);
  writer.PutNumber(1, 99);
  writer.PutBytes(2, "text");
  writer.PutBytes(3, "");
  writer.PutBytes(2, "second");
  const std::string bytes(writer.Finish());
  MessageReader reader;
  ASSERT_TRUE(reader.Parse(bytes.data(), bytes.size()));
  EXPECT_EQ(reader.type(), 7);
  EXPECT_EQ(reader.sequence(), 42u);
  EXPECT_EQ(reader.version(), kProtocolVersion);
  EXPECT_EQ(reader.Number(1), 99u);
  EXPECT_EQ(reader.Bytes(2), "text");
  EXPECT_EQ(reader.Number(2, 5), 5u) << "a text is no number";
  EXPECT_EQ(reader.Number(17, 6), 6u);
  std::vector<uint16_t> tags;
  size_t cursor = 0;
  uint16_t tag = 0;
  std::string_view value;
  while (reader.Next(&cursor, &tag, &value)) tags.push_back(tag);
  EXPECT_EQ(tags, (std::vector<uint16_t>{1, 2, 3, 2}));
}

TEST_F(ProtocolTest, EveryTruncationAndEveryLongerBufferIsRefused) {
  MessageWriter writer(buffer_, sizeof(buffer_), 7, 42);
  writer.PutBytes(2, "text");
  writer.PutNumber(1, 99);
  std::string bytes(writer.Finish());
  MessageReader reader;
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(reader.Parse(bytes.data(), size)) << size;
    size_t cursor = 0;
    uint16_t tag = 0;
    std::string_view value;
    EXPECT_FALSE(reader.Next(&cursor, &tag, &value));
  }
  bytes += std::string(8, '\0');
  EXPECT_FALSE(reader.Parse(bytes.data(), bytes.size()));
}

TEST_F(ProtocolTest, SizesThatPointOutsideAreRefused) {
  MessageWriter writer(buffer_, sizeof(buffer_), 7, 42);
  writer.PutBytes(2, "text");
  std::string bytes(writer.Finish());
  MessageReader reader;
  for (const uint32_t size : {9u, 16u, 0xffff'fff8u, 0xffff'ffffu}) {
    std::string broken = bytes;
    memcpy(broken.data() + sizeof(MessageHeader) + 4, &size, sizeof(size));
    EXPECT_FALSE(reader.Parse(broken.data(), broken.size())) << size;
  }
  bytes[0] = 'X';
  EXPECT_FALSE(reader.Parse(bytes.data(), bytes.size()));
}

TEST_F(ProtocolTest, WriterRefusesWhatDoesNotFit) {
  MessageWriter writer(buffer_, sizeof(buffer_), 7, 42);
  writer.PutBytes(1, std::string(kMaxMessage, 'x'));
  EXPECT_FALSE(writer.valid());
  EXPECT_TRUE(writer.Finish().empty());
  MessageWriter tiny(buffer_, sizeof(MessageHeader) - 1, 7, 42);
  EXPECT_FALSE(tiny.valid());
  MessageWriter exact(buffer_, sizeof(MessageHeader) + 16, 7, 42);
  exact.PutNumber(1, 1);
  EXPECT_TRUE(exact.valid());
  exact.PutBytes(2, "");
  EXPECT_FALSE(exact.valid());
}

TEST_F(ProtocolTest, DescriptorsTravelAndAreTakenOnce) {
  const size_t before = OpenFds();
  {
    MessageWriter writer(buffer_, sizeof(buffer_), 7, 42);
    writer.PutFd(5, -1);
    writer.PutFd(6, null_.get());
    ASSERT_EQ(SendMessage(left_.get(), writer.Finish(), writer.fds(),
                          writer.fd_count()),
              0);
    ReceivedFds fds;
    const int64_t size =
        ReceiveMessage(right_.get(), buffer_, sizeof(buffer_), &fds);
    ASSERT_GT(size, 0);
    MessageReader reader;
    ASSERT_TRUE(reader.Parse(buffer_, static_cast<size_t>(size)));
    EXPECT_EQ(reader.TakeFd(5, &fds), -1);
    const os::UniqueFd fd(reader.TakeFd(6, &fds));
    EXPECT_TRUE(fd.valid());
    EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(reader.TakeFd(6, &fds), -1);
  }
  EXPECT_EQ(OpenFds(), before);
}

TEST_F(ProtocolTest, DescriptorsThatNobodyTakesAreClosed) {
  const size_t before = OpenFds();
  const int two[] = {null_.get(), null_.get()};
  ASSERT_EQ(SendMessage(left_.get(), "xx", two, 2), 0);
  {
    ReceivedFds fds;
    EXPECT_EQ(ReceiveMessage(right_.get(), buffer_, sizeof(buffer_), &fds), 2);
    EXPECT_EQ(fds.count(), 2u);
    EXPECT_EQ(OpenFds(), before + 2);
  }
  EXPECT_EQ(OpenFds(), before);
}

TEST_F(ProtocolTest, TooManyDescriptorsAreRefusedAndClosed) {
  const size_t before = OpenFds();
  for (const size_t count : {kMaxMessageFds + 1, size_t{40}}) {
    std::vector<int> many(count, null_.get());
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 64)] = {};
    char byte = 'x';
    iovec part = {&byte, 1};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), many.data(), sizeof(int) * count);
    ASSERT_EQ(sendmsg(left_.get(), &message, 0), 1);
    ReceivedFds fds;
    EXPECT_EQ(ReceiveMessage(right_.get(), buffer_, sizeof(buffer_), &fds),
              -EBADMSG);
    EXPECT_EQ(OpenFds(), before);
  }
}

// In a process of its own, as the limit is the process's.
TEST_F(ProtocolTest, WithoutRoomForDescriptorsTheMessageComesWithout) {
  const int two[] = {null_.get(), null_.get()};
  ASSERT_EQ(SendMessage(left_.get(), "xx", two, 2), 0);
  testing_support::Child child([&] {
    // Room for one.
    const int lowest = fcntl(null_.get(), F_DUPFD, 0);
    close(lowest);
    rlimit limit = {};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
    limit.rlim_cur = static_cast<rlim_t>(lowest) + 1;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
    ReceivedFds fds;
    if (ReceiveMessage(right_.get(), buffer_, sizeof(buffer_), &fds) != 2) {
      return 2;
    }
    if (!fds.cut() || fds.count() != 0) return 3;
    return fcntl(lowest, F_GETFD) < 0 ? 0 : 4;
  });
  EXPECT_EQ(child.Wait(), 0);
}

TEST_F(ProtocolTest, TooLongMessagesAreRefused) {
  const std::string big(kMaxMessage + 1, 'x');
  ASSERT_EQ(send(left_.get(), big.data(), big.size(), 0),
            static_cast<ssize_t>(big.size()));
  ReceivedFds fds;
  EXPECT_EQ(ReceiveMessage(right_.get(), buffer_, sizeof(buffer_), &fds),
            -EBADMSG);
}

TEST_F(ProtocolTest, NeitherEndWaits) {
  ReceivedFds fds;
  EXPECT_EQ(ReceiveMessage(right_.get(), buffer_, sizeof(buffer_), &fds),
            -EAGAIN);
  const std::string bytes(1000, 'x');
  int error = 0;
  for (int i = 0; i < 10'000 && error == 0; ++i) {
    error = SendMessage(left_.get(), bytes, nullptr, 0);
  }
  EXPECT_EQ(error, EAGAIN);
  left_.Reset();
  EXPECT_EQ(SendMessage(right_.get(), bytes, nullptr, 0), EPIPE);
}

}  // namespace
}  // namespace pinion::monitor
