#include "network/device_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::network {
namespace {

using testing::HasSubstr;

TEST(DeviceNameTest, IsWhatTheKernelTakesAsItIs) {
  for (const char* name :
       {"eth0", "eth0.100", "fifteen-bytes-x", "a", "lo", "br_1@x"}) {
    EXPECT_TRUE(CheckDeviceName(name).ok()) << name;
  }
  for (const char* name :
       {"", "all", "default", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\vb",
        "eth%d", "100%", "sixteen-bytes-xx", "n\xc3\xa9t", "a\x7f"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckDeviceName(name))) << name;
    EXPECT_FALSE(CheckPodInterfaceName(name).ok()) << name;
  }
  EXPECT_THAT(std::string(CheckDeviceName("ph%d").message()),
              HasSubstr("\"ph%d\" is no name of a network device: "));
}

TEST(DeviceNameTest, APodHasItsLoopbackAlready) {
  EXPECT_TRUE(CheckPodInterfaceName("fronthaul0").ok());
  EXPECT_FALSE(CheckPodInterfaceName("lo").ok());
}

}  // namespace
}  // namespace pinion::network
