#include "tools/http_get.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metrics/http_endpoint.h"

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
