#include "tools/http_get.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "metrics/http_endpoint.h"
#include "os/unique_fd.h"

namespace pinion::tools {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::seconds kTimeout{5};

TEST(HttpGetTest, BringsTheBody) {
  const auto registry = metrics::Registry::Create();
  registry->AddGauge("pinion_x", "X.").Set(3);
  const auto endpoint = metrics::HttpEndpoint::Start("127.0.0.1:0", *registry);
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  const auto body =
      HttpGet("127.0.0.1", (*endpoint)->port(), "/metrics", kTimeout);
  ASSERT_TRUE(body.ok()) << body.status();
  EXPECT_THAT(*body, HasSubstr("pinion_x 3\n"));
  EXPECT_THAT(HttpGet("127.0.0.1", (*endpoint)->port(), "/no", kTimeout)
                  .status()
                  .message(),
              HasSubstr("404"));
}

// The first Ctrl-C lets pinionctl demo finish its step.
TEST(HttpGetTest, ASignalIsNotTheEndOfAnswers) {
  struct sigaction handled = {};
  handled.sa_handler = [](int) {};
  handled.sa_flags = SA_RESTART;
  struct sigaction before = {};
  ASSERT_EQ(sigaction(SIGUSR1, &handled, &before), 0);
  const os::UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(listener.get(), generic, size), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  ASSERT_EQ(getsockname(listener.get(), generic, &size), 0);
  std::thread server([&, client = pthread_self()] {
    const os::UniqueFd fd(accept4(listener.get(), nullptr, nullptr, 0));
    char byte = 0;
    EXPECT_EQ(read(fd.get(), &byte, 1), 1);
    // It waits for the answer, most of the time.
    for (int i = 0; i < 50; ++i) {
      pthread_kill(client, SIGUSR1);
      usleep(1000);
    }
    constexpr char kAnswer[] = "HTTP/1.0 200 OK\r\n\r\nbody";
    EXPECT_GT(send(fd.get(), kAnswer, sizeof(kAnswer) - 1, MSG_NOSIGNAL), 0);
    shutdown(fd.get(), SHUT_WR);
    while (read(fd.get(), &byte, 1) > 0) continue;
  });
  const auto body =
      HttpGet("127.0.0.1", ntohs(address.sin_port), "/", kTimeout);
  server.join();
  EXPECT_TRUE(body.ok()) << body.status();
  EXPECT_EQ(body.value_or(""), "body");
  sigaction(SIGUSR1, &before, nullptr);
}

TEST(HttpGetTest, NobodyThere) {
  const auto registry = metrics::Registry::Create();
  uint16_t port = 0;
  {
    const auto endpoint =
        metrics::HttpEndpoint::Start("127.0.0.1:0", *registry);
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    port = (*endpoint)->port();
  }
  EXPECT_THAT(HttpGet("127.0.0.1", port, "/", kTimeout).status().message(),
              HasSubstr("ECONNREFUSED"));
  EXPECT_FALSE(HttpGet("not an address", 80, "/", kTimeout).ok());
}

}  // namespace
}  // namespace pinion::tools
