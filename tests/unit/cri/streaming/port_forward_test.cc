// Port-forward over real connections to this machine's loopback.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "os/unique_fd.h"
#include "tests/unit/cri/streaming/session_bed.h"
#include "tests/unit/cri/streaming/websocket_peer.h"

namespace pinion::cri::streaming {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// What runs in the pod.
class Listener {
 public:
  explicit Listener(int backlog) : fd_(socket(AF_INET, kKind, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    EXPECT_EQ(bind(fd_.get(), name(), size), 0);
    EXPECT_EQ(getsockname(fd_.get(), name(), &size), 0);
    EXPECT_EQ(listen(fd_.get(), backlog), 0);
  }

  uint16_t port() const { return ntohs(address_.sin_port); }
  // Invalid if nobody comes.
  os::UniqueFd Accept() const {
    pollfd ready = {fd_.get(), POLLIN, 0};
    if (poll(&ready, 1, 20'000) != 1) return os::UniqueFd();
    return os::UniqueFd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  // One that nobody accepts.
  os::UniqueFd Connect() {
    os::UniqueFd fd(socket(AF_INET, kKind | SOCK_NONBLOCK, 0));
    (void)connect(fd.get(), name(), sizeof(address_));
    return fd;
  }

 private:
  static constexpr int kKind = SOCK_STREAM | SOCK_CLOEXEC;
  sockaddr* name() { return reinterpret_cast<sockaddr*>(&address_); }

  os::UniqueFd fd_;
  sockaddr_in address_ = {};
};

// Echoes one connection, then ends it.
void EchoOnce(const Listener& listener, size_t bytes) {
  const os::UniqueFd connection = listener.Accept();
  char buffer[65536];
  for (size_t echoed = 0; echoed < bytes;) {
    const ssize_t count = read(connection.get(), buffer, sizeof(buffer));
    if (count <= 0) return;
    for (ssize_t at = 0; at < count;) {
      const ssize_t written =
          send(connection.get(), buffer + at, static_cast<size_t>(count - at),
               MSG_NOSIGNAL);
      if (written <= 0) return;
      at += written;
    }
    echoed += static_cast<size_t>(count);
  }
}

class PortForwardTest : public SessionTest {
 protected:
  std::string ForwardPath(std::vector<uint16_t> ports = {}) {
    Request request;
    request.kind = Kind::kPortForward;
    request.id = "pod";
    request.ports = std::move(ports);
    return Path(std::move(request));
  }

  // The pair of streams for one connection; the data stream's id is `id` + 2.
  void OpenPair(Client& client, uint32_t id, uint16_t port) {
    const std::string number = std::to_string(port);
    const std::string request = std::to_string(id);
    for (const char* type : {"error", "data"}) {
      client.Send(peer_.SynStream(
          id,
          {{"streamtype", type}, {"port", number}, {"requestid", request}}));
      id += 2;
    }
  }
};

TEST_F(PortForwardTest, SpdyCarriesAConnectionBothWays) {
  const Listener listener(8);
  const std::string sent(500000, 'x');
  std::thread pod([&] { EchoOnce(listener, sent.size()); });
  const std::string path = ForwardPath();
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path, "portforward.k8s.io"),
              StartsWith("HTTP/1.1 101 "));
  OpenPair(client, 1, listener.port());
  std::thread writer([&] {
    for (size_t at = 0; at < sent.size(); at += 20000) {
      client.Send(SpdyPeer::Data(3, sent.substr(at, 20000)));
    }
  });
  EXPECT_TRUE(ReadUntil(client, [this] { return peer_.finished[3]; }));
  writer.join();
  pod.join();
  EXPECT_TRUE(peer_.data[3] == sent) << peer_.data[3].size();
  EXPECT_EQ(peer_.data[1], "");
}

TEST_F(PortForwardTest, APortNobodyListensOnIsTold) {
  uint16_t port = 0;
  {
    const Listener gone(1);
    port = gone.port();
  }
  const std::string path = ForwardPath();
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path, "portforward.k8s.io"),
              StartsWith("HTTP/1.1 101 "));
  OpenPair(client, 1, port);
  ASSERT_TRUE(ReadUntil(
      client, [this] { return peer_.finished[1] && peer_.finished[3]; }));
  EXPECT_THAT(peer_.data[1],
              HasSubstr(absl::StrCat("cannot forward port ", port,
                                     ": connect to port ", port)));
  EXPECT_THAT(peer_.data[1], HasSubstr("127.0.0.1: ECONNREFUSED, ::1: "));
}

TEST_F(PortForwardTest, AListenerThatDoesNotAcceptHoldsNoOtherUp) {
  Listener stuck(0);
  // Its queue is full; the next one's SYN is dropped.
  const os::UniqueFd fillers[] = {stuck.Connect(), stuck.Connect(),
                                  stuck.Connect()};
  const Listener listener(8);
  std::thread pod([&] { EchoOnce(listener, 5); });
  const std::string path = ForwardPath();
  Client client = Connect();
  ASSERT_THAT(client.AskSpdy(path, "portforward.k8s.io"),
              StartsWith("HTTP/1.1 101 "));
  OpenPair(client, 1, stuck.port());
  OpenPair(client, 5, listener.port());
  client.Send(SpdyPeer::Data(7, "hello"));
  EXPECT_TRUE(ReadUntil(client, [this] { return peer_.finished[7]; }));
  pod.join();
  EXPECT_EQ(peer_.data[7], "hello");
  EXPECT_FALSE(peer_.finished[1]) << "the stuck one is still being tried";
  // It is not tried for ever.
  EXPECT_TRUE(ReadUntil(client, [this] { return peer_.finished[1]; }));
  EXPECT_THAT(peer_.data[1], HasSubstr("127.0.0.1: ETIMEDOUT"));
}

TEST_F(PortForwardTest, AClientThatLeavesClosesThePodsConnection) {
  const Listener listener(8);
  const std::string path = ForwardPath();
  os::UniqueFd connection;
  {
    Client client = Connect();
    ASSERT_THAT(client.AskSpdy(path, "portforward.k8s.io"),
                StartsWith("HTTP/1.1 101 "));
    OpenPair(client, 1, listener.port());
    connection = listener.Accept();
  }
  char byte = 0;
  EXPECT_LE(read(connection.get(), &byte, 1), 0);
}

// The channels 2n and 2n + 1 are the n-th port's data and errors; both begin
// with the port, low byte first.
TEST_F(PortForwardTest, WebSocketChannelsCarryFixedPorts) {
  const Listener first(8);
  const Listener second(8);
  std::thread pods([&] {
    EchoOnce(first, 3);
    EchoOnce(second, 6);
  });
  const std::string path = ForwardPath({first.port(), second.port()});
  Client client = Connect();
  ASSERT_THAT(client.AskWebSocket(path, "v4.channel.k8s.io"),
              StartsWith("HTTP/1.1 101 "));
  client.Send(ClientFrame(2, std::string("\0one", 4)));
  client.Send(ClientFrame(2, "\2second"));
  // Messages of one byte of channel and more, one after another.
  std::string bytes;
  std::map<char, std::string> channels;
  std::vector<int> opcodes;
  ASSERT_TRUE(client.Until(
      [&](std::string_view more) {
        for (const char byte : more) {
          bytes.push_back(byte);
          std::string content;
          if (ReadServerFrames(bytes, &content, &opcodes) == 0) continue;
          bytes.clear();
          if (!content.empty()) channels[content[0]] += content.substr(1);
        }
      },
      [&] { return !opcodes.empty() && opcodes.back() == 8; }));
  pods.join();
  const auto port = [](const Listener& listener) {
    return std::string{static_cast<char>(listener.port() & 0xff),
                       static_cast<char>(listener.port() >> 8)};
  };
  EXPECT_EQ(channels[0], port(first) + "one");
  EXPECT_EQ(channels[1], port(first));
  EXPECT_EQ(channels[2], port(second) + "second");
  EXPECT_EQ(channels[3], port(second));
}

TEST_F(PortForwardTest, WebSocketChannelsNeedPorts) {
  const std::string path = ForwardPath();
  EXPECT_THAT(Connect().AskWebSocket(path, "v4.channel.k8s.io"),
              StartsWith("HTTP/1.1 400 "));
}

}  // namespace
}  // namespace pinion::cri::streaming
