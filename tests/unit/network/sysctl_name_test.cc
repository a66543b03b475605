#include "network/sysctl_name.h"

#include <gtest/gtest.h>

namespace pinion::network {
namespace {

TEST(SysctlNameTest, ADevicesDotIsNoBorder) {
  EXPECT_EQ(Ipv4SettingName("eth0", "rp_filter"),
            "net.ipv4.conf.eth0.rp_filter");
  EXPECT_EQ(Ipv4SettingName("bond0.100.7", "forwarding"),
            "net.ipv4.conf.bond0/100/7.forwarding");
}

}  // namespace
}  // namespace pinion::network
