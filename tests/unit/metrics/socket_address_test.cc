#include "metrics/socket_address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

namespace pinion::metrics {
namespace {

TEST(SocketAddressTest, ParsesIpv4) {
  const auto address = ParseSocketAddress("127.0.0.1:9469");
  ASSERT_TRUE(address.ok()) << address.status();
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address->storage);
  EXPECT_EQ(v4->sin_family, AF_INET);
  EXPECT_EQ(ntohs(v4->sin_port), 9469);
  EXPECT_EQ(ntohl(v4->sin_addr.s_addr), INADDR_LOOPBACK);
}

TEST(SocketAddressTest, ParsesBracketedIpv6) {
  const auto address = ParseSocketAddress("[::1]:80");
  ASSERT_TRUE(address.ok()) << address.status();
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address->storage);
  EXPECT_EQ(v6->sin6_family, AF_INET6);
  EXPECT_EQ(ntohs(v6->sin6_port), 80);
}

TEST(SocketAddressTest, RejectsEverythingElse) {
  for (const char* text :
       {"", ":", "9469", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:x", "localhost:80", "::1:80", "[::1]",
        "[]:80", "[127.0.0.1]:80", "127.0.0:80"}) {
    EXPECT_EQ(ParseSocketAddress(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

}  // namespace
}  // namespace pinion::metrics
