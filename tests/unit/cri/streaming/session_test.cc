// Sessions over real connections and processes.

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "tests/support/eventually.h"
#include "tests/unit/cri/streaming/session_bed.h"
#include "tests/unit/cri/streaming/websocket_peer.h"

namespace pinion::cri::streaming {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::Eventually;

size_t Entries(const char* directory) {
  size_t count = 0;
  DIR* dir = opendir(directory);
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

TEST_F(SessionTest, SpdyExecCarriesAllStreamsAndTheExitCode) {
  const std::string path = ExecPath("cat; echo problem >&2; exit 7");
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdin", "stdout", "stderr"});
  client.Send(SpdyPeer::Data(3, "some "));
  client.Send(SpdyPeer::Data(3, "input", true));
  ASSERT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
  EXPECT_EQ(peer_.Replies(), 4u);
  EXPECT_EQ(peer_.data[5], "some input");
  EXPECT_EQ(peer_.data[7], "problem\n");
  EXPECT_THAT(peer_.data[1], HasSubstr("\"reason\":\"NonZeroExitCode\""));
  EXPECT_THAT(peer_.data[1], HasSubstr("\"message\":\"7\""));
  EXPECT_TRUE(peer_.finished[3] && peer_.finished[5] && peer_.finished[7]);
}

TEST_F(SessionTest, OldProtocolsGetPlainText) {
  const std::string path = ExecPath("exit 7", false);
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path, "v2.channel.k8s.io"),
              StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdout", "stderr"});
  ASSERT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
  EXPECT_EQ(peer_.data[1], "command terminated with exit code 7");
}

TEST_F(SessionTest, ErrorsOfTheStartAreTold) {
  Request request;
  request.id = "another";
  request.command = {"true"};
  request.streams.stdout_open = true;
  const std::string path = Path(request);
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdout"});
  ASSERT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
  EXPECT_THAT(peer_.data[1], HasSubstr("no container"));
}

TEST_F(SessionTest, TerminalsAreResized) {
  const std::string path = ExecPath(
      "read line; stty size; read line; stty size; exit 3", true, true);
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdin", "stdout", "resize"});
  client.Send(SpdyPeer::Data(7, "{\"Width\":97,\"Height\":33}\n"));
  client.Send(SpdyPeer::Data(3, "\n"));
  ASSERT_TRUE(ReadUntil(client, [this] {
    return peer_.data[5].find("33 97") != std::string::npos;
  }));
  client.Send(SpdyPeer::Data(7, "{\"Width\":40,\"Height\":10}\n"));
  client.Send(SpdyPeer::Data(3, "\n"));
  ASSERT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
  EXPECT_THAT(peer_.data[5], HasSubstr("10 40"));
  EXPECT_THAT(peer_.data[1], HasSubstr("\"message\":\"3\""));
}

TEST_F(SessionTest, WebSocketExecWithHalfClosedInput) {
  const std::string path = ExecPath("cat; exit 5");
  Client client = Connect();
  ASSERT_THAT(client.AskWebSocket(path, "v5.channel.k8s.io"),
              StartsWith("HTTP/1.1 101 "));
  client.Send(ClientFrame(2, std::string("\0hello", 6)));
  client.Send(ClientFrame(2, std::string("\xff\0", 2)));
  std::string bytes, content;
  std::vector<int> opcodes;
  ASSERT_TRUE(client.Until(
      [&](std::string_view more) {
        bytes += more;
        bytes.erase(0, ReadServerFrames(bytes, &content, &opcodes));
      },
      [&] { return !opcodes.empty() && opcodes.back() == 8; }));
  // The empty message that says we are here, the output, the status.
  EXPECT_THAT(content, StartsWith("\1\1hello\3{"));
  EXPECT_THAT(content, HasSubstr("\"message\":\"5\""));
  client.Send(ClientFrame(8, "\x03\xe8"));
  client.HangUp();
}

TEST_F(SessionTest, MuchInputAndOutputArriveWhole) {
  const std::string path = ExecPath("cat");
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdin", "stdout", "stderr"});
  std::string sent;
  for (int i = 0; i < 300000; ++i) sent += std::to_string(i) + "\n";
  std::thread writer([&] {
    for (size_t at = 0; at < sent.size(); at += 30000) {
      client.Send(SpdyPeer::Data(3, sent.substr(at, 30000)));
    }
    client.Send(SpdyPeer::Data(3, "", true));
  });
  EXPECT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
  writer.join();
  EXPECT_TRUE(peer_.data[5] == sent);
  EXPECT_GT(peer_.Count(SpdyControl::kWindowUpdate), 10u);
}

TEST_F(SessionTest, ASlowReaderHoldsTheProcessBack) {
  const std::string path = ExecPath("yes | head -c 50000000; echo >&2 done");
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdin", "stdout", "stderr"});
  ASSERT_TRUE(Eventually([this] { return backend_.alive == 1; }));
  // Nothing is read: what fits into pipes, sockets and the server's buffers
  // is far less than the output. All of it is full when no more comes.
  int queued = 0;
  int same = 0;
  ASSERT_TRUE(Eventually([&] {
    const int now = client.Queued();
    same = now > 0 && now == queued ? same + 1 : 0;
    queued = now;
    return same == 10;
  }));
  EXPECT_EQ(backend_.alive, 1);
  EXPECT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
  EXPECT_EQ(peer_.data[5].size(), 50000000u);
}

TEST_F(SessionTest, AGrandchildDoesNotHoldTheSession) {
  const std::string path = ExecPath("sleep 1000 & echo started", false);
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdout", "stderr"});
  ASSERT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
  EXPECT_EQ(peer_.data[5], "");
  EXPECT_EQ(peer_.data[3], "started\n");
  EXPECT_TRUE(Eventually([this] { return backend_.alive == 0; }));
}

TEST_F(SessionTest, AChattyGrandchildDoesNotEither) {
  const std::string path = ExecPath("yes & sleep 0.1", false);
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdout", "stderr"});
  ASSERT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
}

TEST_F(SessionTest, AClientThatVanishesEndsTheExec) {
  const std::string path = ExecPath("sleep 1000");
  {
    Client client = Connect();
    ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
    OpenStreams(client, {"stdin", "stdout", "stderr"});
    ASSERT_TRUE(Eventually([this] { return backend_.alive == 1; }));
  }
  EXPECT_TRUE(Eventually([this] { return backend_.alive == 0; }));
}

TEST_F(SessionTest, AlsoWhenItsInputIsStuck) {
  const std::string path = ExecPath("sleep 1000");
  {
    Client client = Connect();
    ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
    OpenStreams(client, {"stdin", "stdout", "stderr"});
    // With nothing unread its end stands behind its data, for which the
    // server has no room.
    ASSERT_TRUE(ReadUntil(client, [this] { return peer_.Replies() == 4; }));
    client.Send(SpdyPeer::Data(3, std::string(400000, 'x')));
    client.SendWithoutWaiting(std::string(8000000, 'x'));
    ASSERT_TRUE(Eventually([this] { return backend_.alive == 1; }));
  }
  EXPECT_TRUE(Eventually([this] { return backend_.alive == 0; }));
}

TEST_F(SessionTest, AttachEndsWithoutTheContainersCode) {
  Request request;
  request.kind = Kind::kAttach;
  request.streams = {true, true, false, false};
  const std::string path = Path(request);
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdin", "stdout"});
  client.Send(SpdyPeer::Data(3, "hello", true));
  ASSERT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
  EXPECT_EQ(peer_.data[5], "hello");
  EXPECT_THAT(peer_.data[1], HasSubstr("Success"));
}

TEST_F(SessionTest, StreamsThatDoNotComeEndIt) {
  options_.creation_timeout = std::chrono::milliseconds(300);
  const std::string path = ExecPath("true");
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  EXPECT_TRUE(client.UntilEnd());
  EXPECT_EQ(backend_.alive, 0);
}

TEST_F(SessionTest, IdleSessionsEnd) {
  options_.idle_timeout = std::chrono::seconds(2);
  const std::string path = ExecPath("sleep 1000");
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdin", "stdout", "stderr"});
  EXPECT_TRUE(client.UntilEnd());
  EXPECT_TRUE(Eventually([this] { return backend_.alive == 0; }));
}

TEST_F(SessionTest, TokensAreForOneUse) {
  const std::string path = ExecPath("true");
  EXPECT_THAT(Connect().AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  const std::string used = Connect().AskSpdy(path);
  EXPECT_THAT(used, StartsWith("HTTP/1.1 404 "));
  EXPECT_EQ(used, Connect().AskSpdy("/exec/" + std::string(32, '0')));
}

TEST_F(SessionTest, RefusesForeignOriginsAndLongHeads) {
  const std::string path = ExecPath("true");
  EXPECT_THAT(Connect().Ask(path, "Origin: http://evil\r\n"),
              StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(Connect().Ask("/" + std::string(40000, 'x'), ""),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(Connect().Ask("nonsense", ""), StartsWith("HTTP/1.1 400 "));
}

TEST_F(SessionTest, OneTooManyIsToldAndMayComeAgain) {
  options_.max_sessions = 1;
  const std::string first_path = ExecPath("sleep 1000");
  const std::string path = ExecPath("echo there", false);
  // Who shows no token takes no session's place.
  const Client idle = Connect();
  Client first = Connect();
  ASSERT_THAT(first.AskSpdy(first_path), StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(Connect().AskSpdy(path), StartsWith("HTTP/1.1 503 "));
  first.HangUp();
  Client second = Connect();
  ASSERT_TRUE(Eventually([&] {
    second = Connect();
    return second.AskSpdy(path).rfind("HTTP/1.1 101 ", 0) == 0;
  })) << "the refusal must not spend the token";
  OpenStreams(second, {"stdout", "stderr"});
  ASSERT_TRUE(ReadUntil(second, [this] { return peer_.finished[1]; }));
  EXPECT_EQ(peer_.data[3], "there\n");
}

TEST_F(SessionTest, ConnectionsWithoutATokenAreFewAndShort) {
  options_.max_newcomers = 2;
  options_.head_timeout = std::chrono::seconds(3);
  Start();
  Client silent = Connect();
  Client slow = Connect();
  slow.Send("GET /exec/");
  EXPECT_TRUE(Eventually([this] {
    return Connect().Ask("/", "").rfind("HTTP/1.1 503 ", 0) == 0;
  }));
  EXPECT_TRUE(silent.UntilEnd());
  EXPECT_TRUE(slow.UntilEnd());
  EXPECT_TRUE(Eventually([this] {
    return Connect().Ask("/", "").rfind("HTTP/1.1 404 ", 0) == 0;
  }));
}

TEST_F(SessionTest, StopEndsSessionsAndTakesNoMore) {
  const std::string path = ExecPath("sleep 1000");
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdin", "stdout", "stderr"});
  ASSERT_TRUE(Eventually([this] { return backend_.alive == 1; }));
  EXPECT_TRUE(server_->Stop(std::chrono::seconds(20)));
  EXPECT_EQ(backend_.alive, 0);
  // It is no success.
  EXPECT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
  EXPECT_THAT(peer_.data[1], HasSubstr("\"status\":\"Failure\""));
  EXPECT_THAT(peer_.data[1], HasSubstr("is being stopped"));
  EXPECT_TRUE(client.UntilEnd());
  EXPECT_TRUE(server_->Stop(std::chrono::seconds(20))) << "again";
}

TEST_F(SessionTest, TheServersEndEndsItsSessions) {
  const std::string path = ExecPath("sleep 1000");
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  OpenStreams(client, {"stdin", "stdout", "stderr"});
  ASSERT_TRUE(Eventually([this] { return backend_.alive == 1; }));
  server_.reset();
  EXPECT_EQ(backend_.alive, 0);
  EXPECT_TRUE(client.UntilEnd());
}

TEST_F(SessionTest, AbortedSessionsLeaveNothing) {
  (void)ExecPath("true");
  const size_t fds = Entries("/proc/self/fd");
  const size_t threads = Entries("/proc/self/task");
  for (int i = 0; i < 200; ++i) {
    const std::string path = ExecPath(i % 2 == 0 ? "cat" : "yes");
    Client client = Connect();
    std::string bytes = "POST " + path +
                        " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                        "Upgrade: SPDY/3.1\r\n"
                        "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n";
    SpdyPeer peer;
    uint32_t id = 1;
    for (const char* type : {"error", "stdin", "stdout", "stderr"}) {
      bytes += peer.SynStream(id, {{"streamtype", type}});
      id += 2;
    }
    bytes += SpdyPeer::Data(3, std::string(500, 'x'));
    // Cut anywhere, now and then with time for a process to start.
    client.Send(std::string_view(bytes).substr(
        0, static_cast<size_t>(i * 7919) % bytes.size() + 1));
    if (i % 8 == 0) (void)client.Receive(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(Eventually([&] { return backend_.alive == 0; }))
      << backend_.alive;
  EXPECT_TRUE(Eventually([&] { return Entries("/proc/self/fd") <= fds; }))
      << fds << " became " << Entries("/proc/self/fd");
  EXPECT_TRUE(Eventually([&] { return Entries("/proc/self/task") <= threads; }))
      << threads << " became " << Entries("/proc/self/task");
}

}  // namespace
}  // namespace pinion::cri::streaming
