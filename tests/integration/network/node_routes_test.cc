// The node's ways to its pods beside other people's routes.

#include "network/node_routes.h"

#include <gmock/gmock.h>
#include <linux/rtnetlink.h>

#include <string>
#include <vector>

#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class NodeRoutesTest : public NetworkTest {
 protected:
  NodeRoutesTest() {
    Connect(node_, third_, "lan0");
    options_.parent = "lan0";
    options_.range = "10.9.7.0/24,fd00:9::/64";
  }

  TestHost third_;
};

TEST_F(NodeRoutesTest, AnExcludedNetworkOfTheNodesHidesNone) {
  Connect(node_, third_, "lan1");
  node_.Shell(
      "ip address add 10.9.7.129/25 dev lan1 && ip link set lo up && "
      "ip -6 address add fd00:9::77/128 dev lo nodad");
  third_.Shell("ip address add 10.9.7.130/25 dev lan1");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(network_->GetReadiness().reason, "RangeUnusable");
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("leave it out (network.exclude)"));
  options_.exclude = {"10.9.7.128/25"};
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
  EXPECT_TRUE(Reaches(node_, pod.host, addresses->additional_ips[0]));
  EXPECT_TRUE(Reaches(node_, third_, "10.9.7.130"));
}

TEST_F(NodeRoutesTest, WhatIsPutInTheirPlaceIsWalkedAround) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  const auto replace = [&](const std::string& ip, const std::string& route,
                           const std::string& address) {
    node_.Shell(ip + "route replace " + route);
    EXPECT_TRUE(Eventually([&] {
      return node_.Shell(ip + "route get " + address).find("dev pinion-host") !=
             std::string::npos;
    })) << route;
    EXPECT_TRUE(Reaches(node_, pod.host, address));
    EXPECT_NE(node_.Shell(ip + "route show " + route), "");
  };
  replace("ip ", "10.9.7.0/24 dev lan0", addresses->ip);
  replace("ip -6 ", "fd00:9::/64 dev lan0 metric 1024",
          addresses->additional_ips[0]);
}

// What a daemon of BGP does, all at once, while nobody reads.
TEST_F(NodeRoutesTest, ARoutingDaemonsAreNotEvenToldOf) {
  absl::StatusOr<os::NetlinkSocket> events = absl::UnknownError("not run");
  node_.Run([&] { events = OpenNodeEvents(kNodeRouteGroups); });
  ASSERT_TRUE(events.ok()) << events.status();
  node_.Shell(
      "for i in $(seq 0 99); do for j in $(seq 0 199); do "
      "echo route add 10.$i.$j.0/24 dev lan0 proto bird; "
      "echo route del 10.$i.$j.0/24 proto bird; "
      "done; done | ip -batch -");
  node_.Shell(
      "ip route add default dev lan0 proto bird && "
      "ip route add 10.200.0.0/24 dev lan0 proto bird && "
      "ip route replace 10.200.0.0/24 dev lan0 mtu 1400 proto bird && "
      "ip route add 10.201.0.0/24 dev lan0 proto 112 && "
      "ip route del 10.201.0.0/24 proto 112 && "
      "ip -6 route add fd00:201::/64 dev lan0 && "
      "ip address add 10.202.0.1/24 dev lan0");
  std::vector<std::string> heard;
  const absl::Status status =
      events->Receive([&heard](const os::NetlinkMessage& message) {
        const auto route = ParseRoute(message);
        if (!route || route->table != RT_TABLE_MAIN) return;
        // The device gets it some time after it is up.
        if (route->spec.destination == *ipam::IpPrefix::Parse("fe80::/64")) {
          return;
        }
        heard.push_back((message.type() == RTM_NEWROUTE ? "+" : "-") +
                        route->spec.destination.ToString());
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(
      heard, ElementsAre("+0.0.0.0/0", "+10.200.0.0/24", "+10.201.0.0/24",
                         "-10.201.0.0/24", "+fd00:201::/64", "+10.202.0.0/24"));
}

}  // namespace
}  // namespace pinion::network
