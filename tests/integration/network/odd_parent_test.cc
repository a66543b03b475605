// Parents that the host link does not simply stand on: a macvlan, a port of a
// bridge.

#include <gmock/gmock.h>
#include <net/if.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "network/host_link.h"
#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;

class OddParentTest : public NetworkTest {
 protected:
  OddParentTest() {
    Connect(node_, third_, "lan0");
    options_.parent = "lan0";
    options_.range = "10.9.7.0/24";
  }

  int HostLinkIndex() {
    int index = 0;
    node_.Run([&] { index = static_cast<int>(if_nametoindex("pinion-host")); });
    EXPECT_NE(index, 0);
    return index;
  }

  TestHost third_;
};

// As a machine's own NIC is where it is a container itself. The kernel puts a
// macvlan on a macvlan beside it.
TEST_F(OddParentTest, AParentMayBeAMacvlanItself) {
  // Once the device below is the node's, once it is in another namespace.
  TestHost outside;
  Connect(outside, third_, "lan1");
  outside.Shell("ip link add mv1 link lan1 type macvlan mode bridge");
  outside.Shell(absl::StrCat("ip link set mv1 netns /proc/", getpid(), "/fd/",
                             node_.netns_fd()));
  node_.Shell("ip link add mv0 link lan0 type macvlan mode bridge");
  third_.Shell("ip address add 10.51.200.2/16 dev lan0");
  third_.Shell("ip address add 10.52.200.2/16 dev lan1");
  for (const std::string n : {"0", "1"}) {
    SCOPED_TRACE("mv" + n);
    const std::string net = n == "0" ? "10.51" : "10.52";
    node_.Shell("ip link set mv" + n + " up && ip address add " + net +
                ".0.1/16 dev mv" + n);
    options_.parent = "mv" + n;
    // Its whole network, which is no other's for standing elsewhere.
    options_.range = net + ".0.0/16";
    ASSERT_TRUE(Start().ok());
    ASSERT_TRUE(network_->GetReadiness().ready)
        << network_->GetReadiness().message;
    const int made = HostLinkIndex();
    Pod pod;
    const auto addresses = network_->Attach(pod.Request());
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
    EXPECT_TRUE(Reaches(pod.host, node_, net + ".0.1"));
    EXPECT_TRUE(Reaches(third_, pod.host, addresses->ip));
    EXPECT_EQ(HostLinkIndex(), made);
    // Nor is it made anew by the next daemon.
    ASSERT_TRUE(Start().ok());
    EXPECT_EQ(HostLinkIndex(), made);
    network_.reset();
  }
}

// One whose place is not what is expected is made once, not for ever by the
// messages of its own making.
TEST_F(OddParentTest, AMisplacedHostLinkIsNotMadeAgain) {
  node_.Shell("ip link add mv0 link lan0 type macvlan && ip link set mv0 up");
  options_.parent = "mv0";
  node_.Run([&] {
    auto host = os::NetlinkSocket::Open();
    ASSERT_TRUE(host.ok()) << host.status();
    auto parent = FindLink(*host, "mv0");
    ASSERT_TRUE(parent.ok()) << parent.status();
    parent->kind = "one that links are said to stand on";
    const auto plans =
        PlanAddresses(options_, *ParseRanges(options_.range), {});
    ASSERT_TRUE(plans.ok()) << plans.status();
    Misplaced misplaced;
    int made = 0;
    for (int i = 0; i < 3; ++i) {
      const auto link =
          EnsureHostLink(*host, options_, *parent, *plans, misplaced);
      EXPECT_THAT(std::string(link.status().message()),
                  HasSubstr("on another device than mv0"));
      const auto found = FindLink(*host, "pinion-host");
      ASSERT_TRUE(found.ok()) << found.status();
      if (i == 0) made = found->index;
      EXPECT_EQ(found->index, made);
    }
  });
}

TEST_F(OddParentTest, APortOfABridgeNamesTheBridge) {
  node_.Shell("ip link add br9 type bridge && ip link set lan0 master br9");
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("lan0 is a port of br9: set network.parent = "));
}

}  // namespace
}  // namespace pinion::network
