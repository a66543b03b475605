#include "network/node_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pinion::network {
namespace {

using ipam::IpPrefix;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Without(const std::string& prefix,
                                 const std::vector<std::string>& taken) {
  std::vector<IpPrefix> others;
  for (const std::string& other : taken) {
    others.push_back(*IpPrefix::Parse(other));
  }
  std::vector<std::string> names;
  for (const IpPrefix& part : WithoutTaken(*IpPrefix::Parse(prefix), others)) {
    names.push_back(part.ToString());
  }
  return names;
}

TEST(NodeRoutesTest, HalvesCountMoreThanWhatIsThere) {
  EXPECT_THAT(Without("10.50.0.0/16", {}), ElementsAre("10.50.0.0/16"));
  EXPECT_THAT(Without("10.50.0.0/16", {"10.50.0.0/24", "10.0.0.0/8"}),
              ElementsAre("10.50.0.0/16"));
  EXPECT_THAT(Without("10.50.0.0/16", {"10.50.0.0/16"}),
              ElementsAre("10.50.0.0/17", "10.50.128.0/17"));
  EXPECT_THAT(
      Without("fd00::/64", {"fd00::/64", "fd00:0:0:0:8000::/65"}),
      ElementsAre("fd00::/65", "fd00::8000:0:0:0/66", "fd00::c000:0:0:0/66"));
}

TEST(NodeRoutesTest, ASingleAddressThatIsTakenIsLeftOut) {
  EXPECT_THAT(Without("10.0.0.8/31", {"10.0.0.8/31", "10.0.0.9/32"}),
              ElementsAre("10.0.0.8/32"));
  EXPECT_THAT(Without("10.0.0.8/32", {"10.0.0.8/32"}), IsEmpty());
  EXPECT_THAT(Without("fd00::/128", {"fd00::/128"}), IsEmpty());
}

}  // namespace
}  // namespace pinion::network
