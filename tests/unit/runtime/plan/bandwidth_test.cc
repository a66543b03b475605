#include "runtime/plan/bandwidth.h"

#include <gtest/gtest.h>

namespace pinion::plan {
namespace {

TEST(BandwidthTest, ReadsQuantities) {
  EXPECT_EQ(*ParseBandwidth("10M"), 10'000'000u);
  EXPECT_EQ(*ParseBandwidth("512Ki"), 512u * 1024);
  EXPECT_EQ(*ParseBandwidth("1.5G"), 1'500'000'000u);
  EXPECT_EQ(*ParseBandwidth("1Mi"), 1u << 20);
  EXPECT_EQ(*ParseBandwidth("1000"), 1000u);
  EXPECT_EQ(*ParseBandwidth("1P"), 1'000'000'000'000'000u);
}

TEST(BandwidthTest, RefusesTheRest) {
  for (const char* text : {"", "M", "10m", "10ki", "10K", "-1M", "1e6", "999",
                           "1.1P", "10MB", "1..5G", " 10M", "nan", "0x10M"}) {
    EXPECT_FALSE(ParseBandwidth(text).ok()) << text;
  }
}

TEST(BandwidthTest, NamesTheAnnotation) {
  EXPECT_EQ(ParseBandwidths("", "")->ingress, 0u);
  EXPECT_EQ(ParseBandwidths("1M", "2M")->egress, 2'000'000u);
  EXPECT_NE(ParseBandwidths("1M", "x").status().message().find(
                "annotations[kubernetes.io/egress-bandwidth]"),
            std::string::npos);
}

}  // namespace
}  // namespace pinion::plan
