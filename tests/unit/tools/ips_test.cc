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
  pool.rows = {
      {"10.88.0.2", true, "0123456789abc", "demo/web", "6e:70:0a:58:00:02",
       90'000'000'000, std::nullopt},
      {"10.88.0.3", false, "", "", "", 12'000'000'000, 48'000'000'000}};
  return pool;
}

TEST(IpsTest, ShowsBarOwnerAndAge) {
  EXPECT_EQ(RenderPools({Example()}, Terminal()),
            "10.88.0.0-24  ▕███████▌░░░░░░░               ▏ 1 of 4 used, "
            "1 cooling down, 2 free\n"
            "ADDRESS    STATE            FOR      MAC                POD     "
            "       NAME\n"
            "10.88.0.2  in use           1m 30s   6e:70:0a:58:00:02  "
            "0123456789abc  demo/web\n"
            "10.88.0.3  free in 48.00 s  12.00 s  -                  -       "
            "       -\n");
}

TEST(IpsTest, EmptyPoolHasAnEmptyBar) {
  PoolView pool;
  pool.name = "p";
  pool.capacity = 254;
  EXPECT_EQ(RenderPools({pool}, Terminal()),
            "p  ▕" + std::string(30, ' ') + "▏ 0 of 254 used, 254 free\n");
}

// What cools down shows, however little it is, and never past the end.
TEST(IpsTest, CoolingIsSeenBesideALotOfUse) {
  PoolView pool;
  pool.name = "p";
  pool.capacity = 254;
  pool.used = 100;
  pool.cooling = 1;
  EXPECT_THAT(RenderPools({pool}, Terminal()), HasSubstr("░"));
  pool.used = 254;
  EXPECT_THAT(RenderPools({pool}, Terminal()),
              HasSubstr("█▏ 254 of 254 used, 1 cooling down, 0 free"));
}

TEST(IpsTest, APoolIsCalledByItsNetworkAndRange) {
  EXPECT_EQ(NetworkOfPool("10.88.0.0_22"), "");
  EXPECT_EQ(PoolTitle("10.88.0.0_22"), "10.88.0.0/22");
  EXPECT_EQ(PoolTitle("10.88.0.4-10.88.0.9"), "10.88.0.4-10.88.0.9");
  EXPECT_EQ(NetworkOfPool("secondary/red-1/fd61::_64"), "red-1");
  EXPECT_EQ(PoolTitle("secondary/red-1/fd61::_64"), "red-1:fd61::/64");
}

TEST(IpsTest, NoPool) {
  EXPECT_THAT(RenderPools({}, Terminal()), HasSubstr("no pool"));
}

TEST(IpsTest, Json) {
  const std::string json = PoolsJson({Example()});
  EXPECT_THAT(json, HasSubstr("\"pod_id_prefix\": \"0123456789abc\""));
  EXPECT_THAT(json, HasSubstr("\"mac\": \"6e:70:0a:58:00:02\""));
  EXPECT_THAT(json, HasSubstr("\"free\": 2"));
  EXPECT_THAT(json, HasSubstr("\"age_seconds\": 90.0"));
  EXPECT_THAT(json, HasSubstr("\"state\": \"released\""));
  EXPECT_THAT(json, HasSubstr("\"free_in_seconds\": 48.0"));
}

}  // namespace
}  // namespace pinion::tools
