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
  pool.cooling = 1;
  pool.rows = {{"10.88.0.2", true, "0123456789abc", "demo/web", 90'000'000'000,
                std::nullopt},
               {"10.88.0.3", false, "", "", 12'000'000'000, 48'000'000'000}};
  return pool;
}

TEST(IpsTest, ShowsBarOwnerAndAge) {
  EXPECT_EQ(RenderPools({Example()}, Terminal()),
            "10.88.0.0-24  ▕███████▌                      ▏ 1 of 4 used, "
            "1 cooling down\n"
            "ADDRESS    STATE            FOR      POD            NAME\n"
            "10.88.0.2  in use           1m 30s   0123456789abc  demo/web\n"
            "10.88.0.3  free in 48.00 s  12.00 s  -              -\n");
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
  EXPECT_THAT(json, HasSubstr("\"free_in_seconds\": 48.0"));
}

}  // namespace
}  // namespace pinion::tools
