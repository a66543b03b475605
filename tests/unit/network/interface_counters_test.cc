#include "network/interface_counters.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "os/process.h"

namespace pinion::network {
namespace {

// Of a pod on Linux 6.18.
constexpr char kNetDev[] =
    "Inter-|   Receive                                                |  "
    "Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes  "
    "  packets errs drop fifo colls carrier compressed\n"
    "    lo:   15040     473    0    0    0     0          0         0    15040"
    "     473    0    0    0     0       0          0\n"
    "  eth0: 689708302   25773    1    2    3     4          5         6  "
    "1606476   18626    7    8    9     10       11          12\n"
    "enp1s0f0np0:18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

TEST(ParseNetDevTest, ReadsCountersOfAllInterfacesButLoopback) {
  const auto interfaces = ParseNetDev(kNetDev);
  ASSERT_EQ(interfaces.size(), 2U);
  const InterfaceCounters& eth0 = interfaces[0];
  EXPECT_EQ(eth0.name, "eth0");
  EXPECT_EQ(eth0.rx_bytes, 689708302U);
  EXPECT_EQ(eth0.rx_packets, 25773U);
  EXPECT_EQ(eth0.rx_errors, 1U);
  EXPECT_EQ(eth0.rx_dropped, 2U);
  EXPECT_EQ(eth0.tx_bytes, 1606476U);
  EXPECT_EQ(eth0.tx_packets, 18626U);
  EXPECT_EQ(eth0.tx_errors, 7U);
  EXPECT_EQ(eth0.tx_dropped, 8U);
  EXPECT_EQ(interfaces[1].name, "enp1s0f0np0");
  EXPECT_EQ(interfaces[1].rx_bytes, UINT64_MAX);
}

TEST(ParseNetDevTest, LeavesOutWhatIsNoInterface) {
  EXPECT_TRUE(ParseNetDev("").empty());
  EXPECT_TRUE(ParseNetDev("eth0: 1 2 3\n").empty());
  EXPECT_TRUE(
      ParseNetDev("eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 x").empty());
  EXPECT_TRUE(ParseNetDev(": 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").empty());
}

TEST(ReadInterfaceCountersTest, ReadsTheNamespaceOfAProcess) {
  const auto ticks = os::ProcessStartTicks(getpid());
  ASSERT_TRUE(ticks.ok());
  EXPECT_TRUE(ReadInterfaceCounters(getpid(), *ticks).ok());
}

TEST(ReadInterfaceCountersTest, ReadsNothingOfAnotherProcessWithThePid) {
  const auto ticks = os::ProcessStartTicks(getpid());
  ASSERT_TRUE(ticks.ok());
  const auto counters = ReadInterfaceCounters(getpid(), *ticks + 1);
  EXPECT_TRUE(absl::IsNotFound(counters.status())) << counters.status();
}

}  // namespace
}  // namespace pinion::network
