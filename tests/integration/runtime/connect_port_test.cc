// Connections into a pod's network namespace.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/runtime/runtime_bed.h"

namespace pinion::runtime {
namespace {

using ::testing::HasSubstr;

class ConnectPortTest : public ::testing::Test {
 protected:
  // As a session does it, but that it waits.
  absl::StatusOr<os::UniqueFd> Connect(const std::string& pod, uint16_t port) {
    auto connection = bed_.runtime().ConnectPort(pod, port);
    if (!connection.ok()) return connection.status();
    for (;;) {
      auto socket = connection->Step();
      if (socket.has_value()) return *std::move(socket);
      pollfd writable = {connection->fd(), POLLOUT, 0};
      poll(&writable, 1, 100);
    }
  }

  // What a server on that address of the pod says.
  std::string Ask(const std::string& pod, const std::string& address,
                  uint16_t port) {
    bed_.Run(pod, absl::StrCat("mkdir -p /w; echo from-", address,
                               " > /w/index.html; exec httpd -f -h /w -p ",
                               address, ":", port));
    os::UniqueFd socket;
    EXPECT_TRUE(Eventually([&] {
      auto connected = Connect(pod, port);
      if (connected.ok()) socket = *std::move(connected);
      return socket.valid();
    }));
    EXPECT_NE(fcntl(socket.get(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(fcntl(socket.get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_TRUE(WriteAll(socket.get(), "GET / HTTP/1.0\r\n\r\n"));
    std::string text;
    EXPECT_TRUE(ReadToEnd(socket.get(), &text));
    return text;
  }

  RuntimeBed bed_;
};

TEST_F(ConnectPortTest, ReachesWhatListensOnThePodsLoopback) {
  const std::string pod = bed_.RunPod("port");
  EXPECT_THAT(Ask(pod, "127.0.0.1", 8080), HasSubstr("from-127.0.0.1\n"));
}

TEST_F(ConnectPortTest, TriesIpv6AfterIpv4) {
  ASSERT_EQ(access("/proc/net/if_inet6", F_OK), 0) << "needs IPv6";
  const std::string pod = bed_.RunPod("port");
  EXPECT_THAT(Ask(pod, "[::1]", 8081), HasSubstr("from-[::1]\n"));
}

TEST_F(ConnectPortTest, SaysThatNothingListens) {
  const std::string pod = bed_.RunPod("port");
  // A monitor that takes too long to make the sockets says something else.
  absl::Status refused;
  EXPECT_TRUE(Eventually([&] {
    refused = Connect(pod, 81).status();
    return absl::StrContains(refused.message(), "127.0.0.1: ECONNREFUSED");
  })) << refused;
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Connect(pod, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Connect("nope", 81).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(bed_.runtime().StopPod(pod).ok());
  EXPECT_EQ(Connect(pod, 81).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ConnectPortTest, AHostNetworkPodsIsTheHosts) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(listener, name, size), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, name, &size), 0);
  const uint16_t port = ntohs(address.sin_port);
  const std::string host = bed_.RunPod("host", /*host_network=*/true);
  const std::string own = bed_.RunPod("own");
  absl::Status connected;
  EXPECT_TRUE(Eventually([&] {
    connected = Connect(host, port).status();
    return connected.ok();
  })) << connected;
  EXPECT_FALSE(Connect(own, port).ok());
  close(listener);
}

}  // namespace
}  // namespace pinion::runtime
