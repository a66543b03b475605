#include "runtime/monitor/messages.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

namespace pinion::monitor {
namespace {

// A message as the other end sees it.
class Sent {
 public:
  explicit Sent(const std::function<void(MessageWriter*)>& put) {
    MessageWriter writer(buffer_, sizeof(buffer_), 1, 2);
    put(&writer);
    valid_ = writer.valid();
    bytes_ = std::string(writer.Finish());
    if (valid_) valid_ = reader_.Parse(bytes_.data(), bytes_.size());
  }
  bool valid() const { return valid_; }
  const MessageReader& reader() const { return reader_; }

 private:
  alignas(8) char buffer_[kMaxMessage];
  bool valid_ = false;
  std::string bytes_;
  MessageReader reader_;
};

TEST(MessagesTest, IdsAreSafeAsFileNames) {
  for (const char* id : {"a", "3f2a", "A-b_c.9"}) {
    EXPECT_TRUE(IsMonitorId(id)) << id;
  }
  for (const char* id :
       {"", ".", "..", ".x", "a/b", "a b", "a\n", "\xc3\xa4"}) {
    EXPECT_FALSE(IsMonitorId(id)) << id;
  }
  EXPECT_TRUE(IsMonitorId(std::string(kMaxId, 'a')));
  EXPECT_FALSE(IsMonitorId(std::string(kMaxId + 1, 'a')));
}

TEST(MessagesTest, ExitKeepsNegativeAndLargeNumbers) {
  ExitMessage in;
  in.event = ~uint64_t{0};
  in.id = "c1";
  in.code = -5;
  in.signal = 64;
  in.oom_killed = true;
  in.finished_at_ns = INT64_MIN;
  in.dropped_lines = 7;
  in.error = "why";
  const Sent sent([&](MessageWriter* w) { Put(w, in); });
  ExitMessage out;
  ASSERT_TRUE(Get(sent.reader(), &out));
  EXPECT_EQ(out.event, in.event);
  EXPECT_EQ(out.id, "c1");
  EXPECT_EQ(out.code, -5);
  EXPECT_EQ(out.signal, 64);
  EXPECT_TRUE(out.oom_killed);
  EXPECT_EQ(out.finished_at_ns, INT64_MIN);
  EXPECT_EQ(out.dropped_lines, 7u);
  EXPECT_EQ(out.error, "why");
}

TEST(MessagesTest, ReportCarriesTheExit) {
  ReportMessage in;
  in.id = "c1";
  in.start_ticks = 5;
  in.started_at_ns = 6;
  in.ended = true;
  in.exit.code = 3;
  const Sent sent([&](MessageWriter* w) { Put(w, in); });
  ReportMessage out;
  ASSERT_TRUE(Get(sent.reader(), &out));
  EXPECT_EQ(out.id, "c1");
  EXPECT_EQ(out.pid, 0);
  EXPECT_EQ(out.start_ticks, 5u);
  EXPECT_EQ(out.started_at_ns, 6);
  EXPECT_TRUE(out.ended);
  EXPECT_EQ(out.exit.code, 3);
  EXPECT_EQ(out.exit.id, "c1");
}

TEST(MessagesTest, AbsentFieldsHaveTheirDefaults) {
  const Sent empty([](MessageWriter*) {});
  ASSERT_TRUE(empty.valid());
  ExitMessage exit;
  EXPECT_FALSE(Get(empty.reader(), &exit)) << "no id";
  TargetMessage target;
  EXPECT_FALSE(Get(empty.reader(), &target));
  HelloReplyMessage hello;
  EXPECT_FALSE(Get(empty.reader(), &hello)) << "no pid";
  ReceivedFds fds;
  StartMessage start;
  EXPECT_FALSE(Get(empty.reader(), &fds, &start));
  EXPECT_EQ(start.plan_fd, -1);
  EXPECT_EQ(start.stdin_fd, -1);
  EXPECT_EQ(GetError(empty.reader()).error, 0);
  SandboxMessage sandbox;
  Get(empty.reader(), &fds, &sandbox);
  EXPECT_FALSE(sandbox.new_network);
  EXPECT_EQ(sandbox.netns_fd, -1);
  CloneMessage clone;
  EXPECT_FALSE(Get(empty.reader(), &fds, &clone));
  EXPECT_EQ(clone.cgroup_fd, -1);
}

TEST(MessagesTest, ClonedSaysWhatBecameOfWhichRequest) {
  const Sent sent([](MessageWriter* w) {
    Put(w, ClonedMessage{7, 0, EAGAIN});
  });
  ClonedMessage out;
  Get(sent.reader(), &out);
  EXPECT_EQ(out.sequence, 7u);
  EXPECT_EQ(out.pid, 0);
  EXPECT_EQ(out.error, EAGAIN);
}

TEST(MessagesTest, SandboxWithSysctls) {
  SandboxMessage in;
  in.hostname = "web-0";
  in.new_network = true;
  in.shared_pid = true;
  in.shm_bytes = 4096;
  in.uid_map = "0 65536 10\n";
  in.gid_map = "0 131072 20\n";
  const Sent sent([&](MessageWriter* w) {
    Put(w, in);
    PutSysctl(w, "net.a", "1 2");
    PutSysctl(w, "kernel.sem", "a=b");
  });
  SandboxMessage out;
  ReceivedFds fds;
  Get(sent.reader(), &fds, &out);
  EXPECT_EQ(out.hostname, "web-0");
  EXPECT_TRUE(out.new_network);
  EXPECT_FALSE(out.new_ipc);
  EXPECT_TRUE(out.shared_pid);
  EXPECT_EQ(out.shm_bytes, 4096u);
  EXPECT_EQ(out.uid_map, "0 65536 10\n");
  EXPECT_EQ(out.gid_map, "0 131072 20\n");
  size_t cursor = 0;
  std::string_view name, value;
  ASSERT_TRUE(NextSysctl(sent.reader(), &cursor, &name, &value));
  EXPECT_EQ(name, "net.a");
  EXPECT_EQ(value, "1 2");
  ASSERT_TRUE(NextSysctl(sent.reader(), &cursor, &name, &value));
  EXPECT_EQ(name, "kernel.sem");
  EXPECT_EQ(value, "a=b");
  EXPECT_FALSE(NextSysctl(sent.reader(), &cursor, &name, &value));
}

TEST(MessagesTest, ASysctlThatIsTooLongMakesTheMessageInvalid) {
  const Sent sent(
      [](MessageWriter* w) { PutSysctl(w, "net.a", std::string(5000, 'x')); });
  EXPECT_FALSE(sent.valid());
}

TEST(MessagesTest, StartKeepsWhatWasAsked) {
  StartMessage in;
  in.id = "c1";
  in.log_path = "/var/log/0.log";
  in.max_log_bytes = 10;
  in.open_stdin = true;
  in.plan_fd = 100;  // Only their places are encoded.
  in.stderr_fd = 101;
  const Sent sent([&](MessageWriter* w) {
    Put(w, in);
    EXPECT_EQ(w->fd_count(), 2u);
  });
  ReceivedFds fds;
  StartMessage out;
  EXPECT_FALSE(Get(sent.reader(), &fds, &out)) << "descriptors did not come";
  EXPECT_EQ(out.id, "c1");
  EXPECT_EQ(out.log_path, "/var/log/0.log");
  EXPECT_EQ(out.max_log_bytes, 10u);
  EXPECT_TRUE(out.open_stdin);
  EXPECT_FALSE(out.terminal);
}

TEST(MessagesTest, AttachNeedsAnIdAndAControlPipe) {
  AttachMessage in;
  in.id = "c1";
  in.open_stdin = true;
  in.stdout_fd = 100;  // Only their places are encoded.
  in.control_fd = 101;
  const Sent sent([&](MessageWriter* w) {
    Put(w, in);
    EXPECT_EQ(w->fd_count(), 2u);
  });
  ReceivedFds none;
  AttachMessage out;
  EXPECT_FALSE(Get(sent.reader(), &none, &out)) << "descriptors did not come";
  EXPECT_EQ(out.id, "c1");
  EXPECT_TRUE(out.open_stdin);

  ReceivedFds fds;
  ASSERT_TRUE(fds.Add(dup(STDERR_FILENO)));
  ASSERT_TRUE(fds.Add(dup(STDERR_FILENO)));
  ASSERT_TRUE(Get(sent.reader(), &fds, &out));
  EXPECT_GE(out.stdout_fd, 0);
  EXPECT_EQ(out.stderr_fd, -1);
  EXPECT_GE(out.control_fd, 0);
  EXPECT_NE(out.stdout_fd, out.control_fd);
  close(out.stdout_fd);
  close(out.control_fd);
}

TEST(MessagesTest, RepliesWithoutDescriptorsHaveNone) {
  const Sent empty([](MessageWriter* w) {
    Put(w, AttachReplyMessage());
    Put(w, SocketsReplyMessage());
    EXPECT_EQ(w->fd_count(), 0u);
  });
  ReceivedFds none;
  AttachReplyMessage attach;
  Get(empty.reader(), &none, &attach);
  EXPECT_EQ(attach.stdin_fd, -1);
  EXPECT_EQ(attach.console_fd, -1);
  SocketsReplyMessage sockets;
  Get(empty.reader(), &none, &sockets);
  EXPECT_EQ(sockets.ipv4_fd, -1);
  EXPECT_EQ(sockets.ipv6_fd, -1);
}

TEST(MessagesTest, ErrorSaysWhatAndWhy) {
  const Sent sent([](MessageWriter* w) { PutError(w, {2, "exec", "/nope"}); });
  const Error error = GetError(sent.reader());
  EXPECT_EQ(error.error, 2);
  EXPECT_EQ(error.what, "exec");
  EXPECT_EQ(error.object, "/nope");
}

}  // namespace
}  // namespace pinion::monitor
