// What the node's own devices show others, and what they take from them.

#include <gmock/gmock.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;
using testing::Not;

class HostLinkTest : public NetworkTest {
 protected:
  HostLinkTest() {
    Connect(node_, third_, "lan0");
    node_.Shell("ip address add 10.9.0.1/16 dev lan0");
    third_.Shell("ip address add 10.9.0.2/16 dev lan0");
    options_.parent = "lan0";
    options_.range = "10.9.7.0/24";
  }

  std::string Setting(const std::string& name) {
    return node_.Shell("cat /proc/sys/net/" + name + " | tr -d '\\n'");
  }

  TestHost third_;
};

// Who asks for a pod "on behalf of" the node's address would have every
// neighbour send the node's packets to the host link, which drops them.
TEST_F(HostLinkTest, AskingForAPodTakesNoNeighbourTheNode) {
  node_.Shell("sysctl -qw net.ipv4.conf.all.rp_filter=2");
  // The neighbour learns at once.
  third_.Shell("sysctl -qw net.ipv4.neigh.lan0.locktime=0");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->GetReadiness().ready);
  EXPECT_TRUE(Reaches(third_, node_, "10.9.0.1"));
  const auto entry = [this] {
    return third_.Shell("ip neigh show 10.9.0.1 dev lan0");
  };
  const std::string mac =
      node_.Shell("ip -o link show lan0 | grep -o 'ether [0-9a-f:]*'")
          .substr(6, 17);
  ASSERT_THAT(entry(), HasSubstr(mac));
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  const auto ask = [&] {
    node_.Shell("ip neigh flush dev pinion-host");
    EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
    // Also for what nobody has.
    node_.Shell("ping -q -c 1 -W 1 10.9.7.200 || true");
    // Comes later.
    EXPECT_TRUE(Reaches(third_, pod.host, addresses->ip));
  };
  ask();
  EXPECT_THAT(entry(), HasSubstr(mac));
  EXPECT_TRUE(Reaches(third_, node_, "10.9.0.1"));
  EXPECT_THAT(node_.Shell("ip route get " + addresses->ip),
              HasSubstr("src 10.9.0.1"));
  // Whoever takes a part of it away.
  const auto own = [this] {
    return node_.Shell("ip -4 address show scope link dev pinion-host");
  };
  const std::string before = own();
  EXPECT_THAT(before, HasSubstr("inet 169.254.255."));
  node_.Shell(
      "sysctl -qw net.ipv4.conf.pinion-host.arp_announce=0 "
      "net.ipv4.conf.pinion-host.arp_ignore=0 && "
      "ip -4 address flush scope link dev pinion-host");
  EXPECT_TRUE(Eventually([&] {
    return own() == before &&
           Setting("ipv4/conf/pinion-host/arp_announce") == "2" &&
           Setting("ipv4/conf/pinion-host/arp_ignore") == "1";
  })) << own();
  // The test does see it where it is not so.
  network_.reset();
  node_.Shell("sysctl -qw net.ipv4.conf.pinion-host.arp_announce=0");
  EXPECT_TRUE(Eventually([&] {
    ask();
    return entry().find("6e:70:0a:09:00:01") != std::string::npos;
  })) << entry();
}

TEST_F(HostLinkTest, HasNoFurtherAddressWhereItHasTheNodes) {
  node_.Shell("ip address flush dev lan0");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(node_.Shell("ip -4 address show scope link dev pinion-host"), "");
  EXPECT_EQ(Setting("ipv4/conf/pinion-host/arp_announce"), "2");
}

TEST_F(HostLinkTest, HasTheParentsMtuAlsoWhenThatRises) {
  third_.Shell("ip link set lan0 mtu 9000");
  ASSERT_TRUE(Start().ok());
  for (const char* mtu : {"1400", "1500", "9000"}) {
    node_.Shell(std::string("ip link set lan0 mtu ") + mtu);
    EXPECT_TRUE(Eventually([&] {
      return node_.Shell("ip -o link show pinion-host")
                 .find(std::string(" mtu ") + mtu + " ") != std::string::npos;
    })) << mtu;
  }
}

// Too small for IPv6, which such a device does not have at all.
TEST_F(HostLinkTest, AParentMayHaveASmallMtu) {
  node_.Shell("ip link set lan0 mtu 1200");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
  node_.Shell("ip link set lan0 mtu 1500");
  const std::string accept_ra = "ipv6/conf/pinion-host/accept_ra";
  EXPECT_TRUE(Eventually([&] {
    return node_.Shell("cat /proc/sys/net/" + accept_ra + " 2>&1 || true") ==
           "0\n";
  }));
}

TEST_F(HostLinkTest, SaysWhatKeepsItOffTheParent) {
  node_.Shell("ip link add virt0 link lan0 type macvlan mode passthru");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(network_->GetReadiness().reason, "HostLinkFailed");
  EXPECT_THAT(network_->GetReadiness().message, HasSubstr("in mode passthru"));
}

TEST_F(HostLinkTest, SaysWhoseMacItHas) {
  ASSERT_TRUE(Start().ok());
  const std::unique_ptr<PodNetwork> first = std::move(network_);
  options_.host_link_name = "pn-second";
  options_.range = "10.9.8.0/24";
  options_.ipam_dir = dir_ + "/second";
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(network_->GetReadiness().reason, "HostLinkFailed");
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("another piniond's pinion-host on lan0 has its MAC "
                        "6e:70:0a:09:00:01"));
  // What it says helps.
  options_.node_address = "10.9.8.1";
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
}

// Anybody may have an abstract socket of any name.
TEST_F(HostLinkTest, NobodyElseCanHaveItsName) {
  node_.Run([&] {
    const os::UniqueFd inside(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = "pinion/host-link/pinion-host";
    name.copy(address.sun_path + 1, name.size());
    ASSERT_EQ(bind(inside.get(), reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 +
                                          name.size())),
              0);
    absl::StatusOr<std::unique_ptr<PodNetwork>> made =
        NewPodNetwork(options_, *registry_);
    ASSERT_TRUE(made.ok()) << made.status();
    network_ = *std::move(made);
  });
  const std::unique_ptr<PodNetwork> first = std::move(network_);
  EXPECT_THAT(std::string(Start().message()),
              HasSubstr("another piniond has network.host_link_name = "
                        "\"pinion-host\""));
}

class OwnDevicesRouterTest : public NetworkTest {
 protected:
  // All that a router has told the node.
  std::string Learned() {
    return node_.Shell(
        "ip -6 -o address show dynamic; ip -6 route show proto ra; "
        "ip -6 route | grep 2001:db8:1 || true");
  }
};

TEST_F(OwnDevicesRouterTest, NoPodIsTheNodesRouter) {
  options_.range = "10.7.1.0/24";
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  pod.host.Shell("ip -6 address add fe80::5/64 dev eth0 nodad");
  AdvertiseRouter(pod.host, "eth0");
  // Comes later and shows that it was passed over.
  EXPECT_TRUE(Reaches(pod.host, node_, "10.7.1.1"));
  EXPECT_EQ(Learned(), "");
  // As an earlier version left it: what was learned goes.
  network_.reset();
  node_.Shell(
      "for f in /proc/sys/net/ipv6/conf/pinion-*/accept_ra; do "
      "echo 1 >$f; done");
  AdvertiseRouter(pod.host, "eth0");
  EXPECT_TRUE(Eventually([&] {
    const std::string learned = Learned();
    return learned.find("default") != std::string::npos &&
           learned.find("inet6 2001:db8:1:") != std::string::npos;
  })) << Learned();
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Learned(), "");
  EXPECT_EQ(node_.Shell("sort -u /proc/sys/net/ipv6/conf/pinion-*/accept_ra"),
            "0\n");
  EXPECT_TRUE(Reaches(node_, pod.host, "10.7.1.2"));
}

TEST_F(OwnDevicesRouterTest, TheBridgeHeedsNone) {
  options_.range = "10.7.1.0/24";
  options_.mode = Options::Mode::kBridge;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(node_.Shell("cat /proc/sys/net/ipv6/conf/pinion0/accept_ra"),
            "0\n");
}

// Pods have it as a neighbour for life.
class NodeMacTest : public NetworkTest,
                    public testing::WithParamInterface<Options::Mode> {};

INSTANTIATE_TEST_SUITE_P(Modes, NodeMacTest, testing::ValuesIn(kModesWithPools),
                         ModeName);

TEST_P(NodeMacTest, StaysWhilePodsKnowIt) {
  node_.Shell(
      "sysctl -eqw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  options_.mode = GetParam();
  options_.range = "fd00:7::/64";
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  options_.range = "10.7.1.0/24,fd00:7::/64";
  for (int start = 0; start < 2; ++start) {
    ASSERT_TRUE(Start().ok());
    ASSERT_TRUE(
        network_->Reconcile({{.pod_id = pod.id, .ips = {addresses->ip}}}).ok());
    ASSERT_TRUE(network_->GetReadiness().ready)
        << network_->GetReadiness().message;
    EXPECT_TRUE(Reaches(pod.host, node_, "fd00:7::1"));
    EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
  }
  Pod both;
  ASSERT_TRUE(network_->Attach(both.Request()).ok());
  EXPECT_TRUE(Reaches(both.host, node_, "10.7.1.1"));
  EXPECT_TRUE(Reaches(both.host, node_, "fd00:7::1"));
}

}  // namespace
}  // namespace pinion::network
