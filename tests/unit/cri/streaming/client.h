// A client on a blocking socket, with a deadline for everything.

#ifndef PINION_TESTS_UNIT_CRI_STREAMING_CLIENT_H_
#define PINION_TESTS_UNIT_CRI_STREAMING_CLIENT_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <string>

#include "os/unique_fd.h"
#include "tests/unit/cri/streaming/spdy_peer.h"

namespace pinion::cri::streaming {

class Client {
 public:
  explicit Client(uint16_t port) {
    fd_.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address),
                      sizeof(address)),
              0);
  }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count =
          send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
  }

  // As much as fits.
  void SendWithoutWaiting(const std::string& bytes) {
    (void)!send(fd_.get(), bytes.data(), bytes.size(),
                MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  // Some bytes; empty at the end or after `patience`.
  std::string Receive(std::chrono::milliseconds patience) {
    pollfd ready = {fd_.get(), POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(patience.count())) != 1) return "";
    char buffer[65536];
    const ssize_t count = recv(fd_.get(), buffer, sizeof(buffer), 0);
    if (count <= 0) ended_ = true;
    return std::string(buffer, count > 0 ? static_cast<size_t>(count) : 0);
  }

  // Bytes that have come and were not received.
  int Queued() const {
    int bytes = 0;
    EXPECT_EQ(ioctl(fd_.get(), FIONREAD, &bytes), 0);
    return bytes;
  }

  bool ended() const { return ended_; }

  // A request; the answer's head, what came after it kept for later.
  std::string Ask(const std::string& path, const std::string& fields,
                  const std::string& method = "GET") {
    Send(method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n");
    std::string answer;
    while (answer.find("\r\n\r\n") == std::string::npos && !ended_) {
      const std::string more = Receive(std::chrono::seconds(60));
      if (more.empty()) break;
      answer += more;
    }
    const size_t end = answer.find("\r\n\r\n");
    if (end == std::string::npos) return answer;
    rest_ = answer.substr(end + 4);
    return answer.substr(0, end + 4);
  }

  std::string AskSpdy(const std::string& path,
                      const std::string& protocol = "v4.channel.k8s.io") {
    return Ask(path,
               "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
               "X-Stream-Protocol-Version: " +
                   protocol + "\r\n",
               "POST");
  }

  std::string AskWebSocket(const std::string& path,
                           const std::string& protocol) {
    return Ask(path,
               "Connection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
               "Sec-WebSocket-Protocol: " +
                   protocol + "\r\n");
  }

  // Feeds what comes to `take` until `done` or the end; false after a minute.
  bool Until(const std::function<void(std::string_view)>& take,
             const std::function<bool()>& done) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::minutes(1);
    take(rest_);
    rest_.clear();
    while (!done()) {
      if (ended_ || std::chrono::steady_clock::now() > deadline) return false;
      take(Receive(std::chrono::milliseconds(200)));
    }
    return true;
  }

  // Until the server hangs up.
  bool UntilEnd() {
    return Until([](std::string_view) {}, [this] { return ended_; });
  }

  void HangUp() { fd_.Reset(); }
  // The connection is reset, not finished.
  void Reset() {
    const linger now = {1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    fd_.Reset();
  }
  void FinishSending() { shutdown(fd_.get(), SHUT_WR); }
  int fd() const { return fd_.get(); }

 private:
  os::UniqueFd fd_;
  std::string rest_;
  bool ended_ = false;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_TESTS_UNIT_CRI_STREAMING_CLIENT_H_
