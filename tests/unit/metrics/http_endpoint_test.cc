#include "metrics/http_endpoint.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "os/unique_fd.h"

namespace pinion::metrics {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class HttpEndpointTest : public testing::Test {
 protected:
  void SetUp() override {
    registry_ = Registry::Create();
    registry_->AddCounter("pinion_x_total", "X.").Increment(42);
    auto endpoint = HttpEndpoint::Start("127.0.0.1:0", *registry_);
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    endpoint_ = std::move(*endpoint);
  }

  os::UniqueFd Connect() const {
    os::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                      sizeof(address)),
              0);
    return fd;
  }

  static void Send(const os::UniqueFd& fd, const std::string& text) {
    EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

  static std::string ReadAll(const os::UniqueFd& fd) {
    std::string all;
    char buffer[4096];
    while (true) {
      pollfd ready = {fd.get(), POLLIN, 0};
      if (poll(&ready, 1, 5000) != 1) return all + "<time-out>";
      const ssize_t n = recv(fd.get(), buffer, sizeof(buffer), 0);
      if (n <= 0) return all;
      all.append(buffer, static_cast<size_t>(n));
    }
  }

  std::string Ask(const std::string& request) const {
    const os::UniqueFd fd = Connect();
    Send(fd, request);
    return ReadAll(fd);
  }

  std::unique_ptr<Registry> registry_;
  std::unique_ptr<HttpEndpoint> endpoint_;
};

TEST_F(HttpEndpointTest, ServesMetrics) {
  const std::string answer = Ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("\npinion_x_total 42\n"));
}

TEST_F(HttpEndpointTest, ContentLengthIsTheBodys) {
  const std::string answer = Ask("GET /metrics HTTP/1.0\r\n\r\n");
  const size_t body = answer.find("\r\n\r\n") + 4;
  EXPECT_THAT(answer, HasSubstr("Content-Length: " +
                                std::to_string(answer.size() - body) + "\r\n"));
}

TEST_F(HttpEndpointTest, QueryStringIsIgnored) {
  EXPECT_THAT(Ask("GET /metrics?name[]=x HTTP/1.1\r\n\r\n"),
              HasSubstr("pinion_x_total 42"));
}

TEST_F(HttpEndpointTest, HeadHasNoBody) {
  const std::string answer = Ask("HEAD /metrics HTTP/1.1\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("pinion_x_total")));
}

TEST_F(HttpEndpointTest, RefusesWhatItDoesNotServe) {
  EXPECT_THAT(Ask("GET /etc/passwd HTTP/1.1\r\n\r\n"),
              StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask("POST /metrics HTTP/1.1\r\n\r\n"),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Ask("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Ask("GET /metrics SSH-2.0\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(HttpEndpointTest, RequestInPieces) {
  const os::UniqueFd fd = Connect();
  for (const char c : std::string("GET /metrics HTTP/1.1\r\n\r\n")) {
    Send(fd, std::string(1, c));
  }
  EXPECT_THAT(ReadAll(fd), HasSubstr("pinion_x_total 42"));
}

TEST_F(HttpEndpointTest, RequestWithoutEndIsRefused) {
  const os::UniqueFd fd = Connect();
  Send(fd, "GET /metrics HTTP/1.1\r\nX: " +
               std::string(HttpEndpoint::kMaxRequestBytes + 1, 'x'));
  EXPECT_THAT(ReadAll(fd), StartsWith("HTTP/1.1 431 "));
}

TEST_F(HttpEndpointTest, AnswerLargerThanTheSocketBuffer) {
  for (int i = 0; i < 200; ++i) {
    registry_->AddHistogram(
        "pinion_h_seconds", "H.", LatencyBuckets(),
        {{"i", std::to_string(i)}, {"pad", std::string(1000, 'p')}});
  }
  const os::UniqueFd fd = Connect();
  Send(fd, "GET /metrics HTTP/1.1\r\n\r\n");
  const std::string answer = ReadAll(fd);
  EXPECT_GT(answer.size(), 4'000'000U);
  EXPECT_EQ(answer.back(), '\n');
}

TEST_F(HttpEndpointTest, IdleConnectionsDoNotBlockAScrape) {
  std::vector<os::UniqueFd> idle;
  for (int i = 0; i < 5; ++i) idle.push_back(Connect());
  EXPECT_THAT(Ask("GET /metrics HTTP/1.1\r\n\r\n"),
              HasSubstr("pinion_x_total 42"));
}

TEST_F(HttpEndpointTest, ConnectionsBeyondTheBoundAreClosed) {
  std::vector<os::UniqueFd> idle;
  for (size_t i = 0; i < HttpEndpoint::kMaxConnections; ++i) {
    idle.push_back(Connect());
  }
  const os::UniqueFd extra = Connect();
  EXPECT_EQ(ReadAll(extra), "");
}

TEST_F(HttpEndpointTest, PortInUseIsAnErrorThatNamesIt) {
  const std::string taken = "127.0.0.1:" + std::to_string(endpoint_->port());
  const auto second = HttpEndpoint::Start(taken, *registry_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().message(), "bind " + taken + ": EADDRINUSE");
}

TEST_F(HttpEndpointTest, StopsWithConnectionsOpen) {
  const os::UniqueFd fd = Connect();
  Send(fd, "GET /met");
  endpoint_.reset();
  EXPECT_EQ(ReadAll(fd), "");
}

}  // namespace
}  // namespace pinion::metrics
