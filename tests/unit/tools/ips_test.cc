#include "tools/ips.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::tools {
namespace {

using ::testing::HasSubstr;

PoolView Example() {
  PoolView pool;
  pool.name = "10.88.0.0-24";
  pool.capacity = 4;
  pool.used = 1;
  pool.rows = {{"10.88.0.2", true, "0123456789abc", "demo/web", 90'000'000'000},
               {"10.88.0.3", false, "", "", std::nullopt}};
  return pool;
}

TEST(IpsTest, ShowsBarOwnerAndAge) {
  EXPECT_EQ(RenderPools({Example()}, Terminal()),
            "10.88.0.0-24  ▕███████▌                      ▏ 1 of 4 used\n"
            "ADDRESS    STATE     POD            NAME      FOR\n"
            "10.88.0.2  in use    0123456789abc  demo/web  1m 30s\n"
            "10.88.0.3  released  -              -         ?\n");
}

TEST(IpsTest, EmptyPoolHasAnEmptyBar) {
  PoolView pool;
  pool.name = "p";
  pool.capacity = 254;
  EXPECT_EQ(RenderPools({pool}, Terminal()),
            "p  ▕" + std::string(30, ' ') + "▏ 0 of 254 used\n");
}

TEST(IpsTest, NoPool) {
  EXPECT_THAT(RenderPools({}, Terminal()), HasSubstr("no pool"));
}

TEST(IpsTest, Json) {
  const std::string json = PoolsJson({Example()});
  EXPECT_THAT(json, HasSubstr("\"pod_id_prefix\": \"0123456789abc\""));
  EXPECT_THAT(json, HasSubstr("\"age_seconds\": 90.0"));
  EXPECT_THAT(json, HasSubstr("\"state\": \"released\""));
}

}  // namespace
}  // namespace pinion::tools
