// Mode "ipvlan" on a NIC of the node's, here one end of a cable to a third
// host. What every mode does is tested with the others' tests
// (../own_devices_test.cc and so on), which are in this program, too.

#include <gmock/gmock.h>

#include <string>

#include "network/parent.h"
#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing_support::AddAddress;
using testing_support::ReachesPort;

constexpr std::chrono::seconds kInVain(1);

class IpvlanTest : public NetworkTest {
 protected:
  IpvlanTest() {
    node_.Shell(
        "ip link set lo up && "
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    Connect(node_, third_, "lan0");
    AddAddress(node_, "lan0", "10.9.0.1/16");
    AddAddress(node_, "lan0", "fd00:9::1/64");
    AddAddress(third_, "lan0", "10.9.0.2/16");
    AddAddress(third_, "lan0", "fd00:9::2/64");
    options_.mode = Options::Mode::kIpvlan;
    options_.parent = "lan0";
    options_.range = "10.9.7.0/24,fd00:9::7:0/112";
  }

  // A range that the third host routes to the node.
  void UseL3s() {
    options_.ipvlan_mode = IpvlanMode::kL3s;
    options_.range = "10.50.3.0/24,fd00:50::/64";
    third_.Shell(
        "ip route add 10.50.3.0/24 via 10.9.0.1 && "
        "ip -6 route add fd00:50::/64 via fd00:9::1");
  }

  void StartReady() {
    const absl::Status started = Start();
    ASSERT_TRUE(started.ok()) << started;
    ASSERT_TRUE(network_->GetReadiness().ready)
        << network_->GetReadiness().message;
  }

  std::string Reason() { return network_->GetReadiness().reason; }

  std::string MacOf(TestHost& host, const std::string& device) {
    return host.Shell("ip -o link show " + device +
                      " | sed 's|.*link/ether \\([0-9a-f:]*\\).*|\\1|'");
  }

  TestHost third_;
};

TEST_F(IpvlanTest, NodePodsAndNeighboursReachEachOther) {
  StartReady();
  Pod pod, sibling;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_TRUE(network_->Attach(sibling.Request()).ok());
  // The host link has the first one; the parent's own cannot be its.
  EXPECT_EQ(addresses->ip, "10.9.7.2");
  EXPECT_THAT(pod.host.Shell("ip address show eth0"), HasSubstr("10.9.7.2/16"));
  for (const char* ip : {"10.9.7.2", "fd00:9::7:2"}) {
    EXPECT_TRUE(Reaches(node_, pod.host, ip)) << ip;
    EXPECT_TRUE(Reaches(third_, pod.host, ip)) << ip;
    EXPECT_TRUE(Reaches(sibling.host, pod.host, ip)) << ip;
  }
  for (const char* ip : {"10.9.7.1", "10.9.0.1", "fd00:9::7:1", "fd00:9::1"}) {
    EXPECT_TRUE(Reaches(pod.host, node_, ip)) << ip;
  }
  EXPECT_TRUE(Reaches(pod.host, third_, "10.9.0.2"));
  EXPECT_TRUE(Reaches(pod.host, third_, "fd00:9::2"));
  EXPECT_TRUE(Reaches(third_, node_, "10.9.0.1"));
}

TEST_F(IpvlanTest, OneMacIsOnTheWire) {
  StartReady();
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  const std::string mac = MacOf(node_, "lan0");
  EXPECT_EQ(addresses->mac + "\n", mac);
  ASSERT_TRUE(Reaches(third_, pod.host, "10.9.7.2"));
  ASSERT_TRUE(Reaches(third_, node_, "10.9.0.1"));
  ASSERT_TRUE(Reaches(third_, pod.host, "fd00:9::7:2"));
  for (const char* ip : {"10.9.0.1", "10.9.7.2", "fd00:9::7:2"}) {
    EXPECT_THAT(third_.Shell(std::string("ip neigh show ") + ip),
                HasSubstr("lladdr " + mac.substr(0, 17)))
        << ip;
  }
}

TEST_F(IpvlanTest, AServiceLeadsToBackendsHereAndElsewhere) {
  options_.service_cidr = "10.96.0.0/12,fd00:96::/112";
  StartReady();
  Pod client, backend;
  ASSERT_TRUE(network_->Attach(client.Request()).ok());
  ASSERT_TRUE(network_->Attach(backend.Request()).ok());
  // As kube-proxy would.
  node_.Shell(
      "nft 'table inet proxy { chain prerouting { type nat hook prerouting "
      "priority -100; ip daddr 10.96.0.10 dnat ip to 10.9.7.3; "
      "ip daddr 10.96.0.11 dnat ip to 10.9.0.2; "
      "ip6 daddr fd00:96::10 dnat ip6 to fd00:9::7:3; "
      "ip6 daddr fd00:96::11 dnat ip6 to fd00:9::2; }; }'");
  EXPECT_TRUE(Reaches(client.host, backend.host, "10.96.0.10"));
  EXPECT_TRUE(Reaches(client.host, backend.host, "fd00:96::10"));
  // From there the answer comes to an address that the wire knows.
  EXPECT_EQ(ReachesPort(client.host, third_, "10.96.0.11", 80, 80), "10.9.0.1");
  EXPECT_EQ(ReachesPort(client.host, third_, "fd00:96::11", 80, 80),
            "fd00:9::1");
}

TEST_F(IpvlanTest, HostPortsLeadToThePodFromTheLanAndTheNode) {
  StartReady();
  Pod pod;
  AttachRequest request = pod.Request();
  request.host_ports.push_back({HostPort::Protocol::kTcp, 12000, 80, ""});
  ASSERT_TRUE(network_->Attach(request).ok());
  EXPECT_EQ(ReachesPort(third_, pod.host, "10.9.0.1", 12000, 80), "10.9.7.1");
  EXPECT_EQ(ReachesPort(node_, pod.host, "127.0.0.1", 12000, 80), "10.9.7.1");
  EXPECT_NE(ReachesPort(node_, pod.host, "10.9.0.1", 12000, 80), "");
}

TEST_F(IpvlanTest, StrictReversePathFiltersAreTold) {
  node_.Shell("sysctl -qw net.ipv4.conf.all.rp_filter=1");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Reason(), "RpFilterStrict");
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("sysctl -w net.ipv4.conf.lan0.rp_filter=2"));
  node_.Shell("sysctl -qw net.ipv4.conf.lan0.rp_filter=2");
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }));
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_TRUE(Reaches(pod.host, node_, "10.9.0.1"));
  // The reason is a true one.
  node_.Shell("sysctl -qw net.ipv4.conf.lan0.rp_filter=1");
  EXPECT_TRUE(Eventually([&] { return Reason() == "RpFilterStrict"; }));
  EXPECT_FALSE(Reaches(pod.host, node_, "10.9.0.1", kInVain));
  EXPECT_TRUE(Reaches(node_, pod.host, "10.9.7.2"));
}

TEST_F(IpvlanTest, WhatAParentWithADotInItsNameNeedsIsToldAsSysctlHasIt) {
  node_.Shell(
      "ip link set lan0 down && ip link set lan0 name lan.7 up && "
      "sysctl -qw net.ipv4.conf.all.rp_filter=1");
  options_.parent = "lan.7";
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Reason(), "RpFilterStrict");
  const std::string remedy = "sysctl -w net.ipv4.conf.lan/7.rp_filter=2";
  EXPECT_THAT(network_->GetReadiness().message, HasSubstr(remedy));
  node_.Shell(remedy);
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }))
      << network_->GetReadiness().message;
}

TEST_F(IpvlanTest, TheHostLinksOwnFilterIsNeverStrict) {
  StartReady();
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  const auto loose = [this] {
    return node_.Shell("sysctl -n net.ipv4.conf.pinion-host.rp_filter") ==
           "2\n";
  };
  EXPECT_TRUE(loose());
  node_.Shell("sysctl -qw net.ipv4.conf.pinion-host.rp_filter=1");
  EXPECT_TRUE(Eventually(loose));
  // Of "all", too; then the parent's is said.
  node_.Shell(
      "sysctl -qw net.ipv4.conf.lan0.rp_filter=2 "
      "net.ipv4.conf.pinion-host.rp_filter=0 net.ipv4.conf.all.rp_filter=1");
  EXPECT_TRUE(Eventually(loose));
  EXPECT_TRUE(network_->GetReadiness().ready);
  EXPECT_TRUE(Reaches(third_, pod.host, "10.9.7.2"));
  EXPECT_TRUE(Reaches(third_, node_, "10.9.7.1"));
}

// As the kernel has it, a loose filter is none where there is an address only.
TEST_F(IpvlanTest, AParentWithoutAddressNeedsNoFilterAtAll) {
  node_.Shell(
      "ip -4 address flush dev lan0; "
      "sysctl -qw net.ipv4.conf.all.rp_filter=2");
  options_.service_cidr = "10.96.0.0/12";
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Reason(), "RpFilterStrict");
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("lan0 has no IPv4 address"));
  node_.Shell(
      "sysctl -qw net.ipv4.conf.all.rp_filter=0 "
      "net.ipv4.conf.lan0.rp_filter=0");
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }));
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  node_.Shell("ip address add 10.96.0.1/32 dev lo");
  EXPECT_TRUE(Reaches(pod.host, node_, "10.96.0.1"));
}

TEST_F(IpvlanTest, AParentWithMacvlansIsTold) {
  node_.Shell("ip link add theirs link lan0 type macvlan");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Reason(), "HostLinkFailed");
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("lan0 carries macvlans already"));
  EXPECT_THAT(node_.Shell("ip -o link"), Not(HasSubstr("pinion-host")));
}

TEST_F(IpvlanTest, OthersIpvlansKeepTheirMode) {
  node_.Shell("ip link add theirs link lan0 type ipvlan mode l3");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Reason(), "HostLinkFailed");
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("theirs on lan0 is an ipvlan in mode l3"));
  EXPECT_THAT(node_.Shell("ip -d link show theirs"), HasSubstr("mode l3 "));
  node_.Shell("ip link set theirs type ipvlan mode l2");
  StartReady();
}

TEST_F(IpvlanTest, TheHostLinkOfAnotherModeIsReplaced) {
  options_.mode = Options::Mode::kMacvlan;
  StartReady();
  EXPECT_THAT(node_.Shell("ip -d link show pinion-host"), HasSubstr("macvlan"));
  // A pod that nobody drained: the reason says so.
  {
    Pod left;
    ASSERT_TRUE(network_->Attach(left.Request()).ok());
    options_.mode = Options::Mode::kIpvlan;
    ASSERT_TRUE(Start().ok());
    EXPECT_EQ(Reason(), "HostLinkFailed");
    EXPECT_THAT(network_->GetReadiness().message, HasSubstr("drain the node"));
    left.host.Shell("ip link delete eth0");
    ASSERT_TRUE(network_->Detach(left.id).ok());
  }
  StartReady();
  EXPECT_THAT(node_.Shell("ip -d link show pinion-host"), HasSubstr("mode l2"));
  UseL3s();
  StartReady();
  EXPECT_THAT(node_.Shell("ip -d link show pinion-host"),
              HasSubstr("mode l3s"));
  EXPECT_THAT(node_.Shell("ip -o address; ip route"),
              Not(HasSubstr("10.9.7.")));
  options_.mode = Options::Mode::kMacvlan;
  StartReady();
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_TRUE(Reaches(node_, pod.host, "10.50.3.1"));
}

TEST_F(IpvlanTest, TheNodesAddressMustNotBeTheParents) {
  options_.node_address = "10.9.0.1";
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Reason(), "RangeUnusable");
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("10.9.0.1 is the parent's"));
  options_.node_address = "10.9.7.9";
  StartReady();
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_TRUE(Reaches(pod.host, node_, "10.9.7.9"));
}

TEST_F(IpvlanTest, FollowsItsParent) {
  StartReady();
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  node_.Shell("ip link set lan0 down");
  EXPECT_TRUE(Eventually([&] { return Reason() == "ParentDown"; })) << Reason();
  node_.Shell(
      "ip link set lan0 up && ip address replace fd00:9::1/64 dev lan0 nodad");
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }))
      << Reason();
  EXPECT_TRUE(Reaches(node_, pod.host, "10.9.7.2"));
  EXPECT_TRUE(Reaches(pod.host, node_, "10.9.0.1"));

  node_.Shell("ip link set lan0 down && ip link set lan0 name lan7");
  EXPECT_TRUE(Eventually([&] { return Reason() == "ParentMissing"; }))
      << Reason();
  node_.Shell("ip link set lan7 name lan0 && ip link set lan0 up");
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }))
      << Reason();
  EXPECT_TRUE(Reaches(node_, pod.host, "10.9.7.2"));

  // Whoever makes the host link ask for addresses asks in vain.
  node_.Shell("ip link set pinion-host arp on");
  EXPECT_TRUE(Eventually([&] {
    return node_.Shell("ip link show pinion-host").find("NOARP") !=
           std::string::npos;
  }));

  node_.Shell("ip link delete lan0");
  EXPECT_TRUE(Eventually([&] { return Reason() == "ParentMissing"; }))
      << Reason();
  ASSERT_TRUE(network_->Detach(pod.id).ok());
}

// It is the mode of all ipvlans on the parent, and each can be told to.
TEST_F(IpvlanTest, AModeThatSomebodyChangesIsSetBack) {
  StartReady();
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  const auto host_link = [this] {
    return node_.Shell("ip -d link show pinion-host");
  };
  const auto stands = [&host_link] {
    const std::string link = host_link();
    return link.find("mode l2 ") != std::string::npos &&
           link.find("NOARP") != std::string::npos;
  };
  ASSERT_TRUE(stands()) << host_link();
  node_.Shell("ip link set pinion-host type ipvlan mode l3s");
  EXPECT_TRUE(Eventually(stands)) << host_link();
  EXPECT_TRUE(Reaches(third_, pod.host, "10.9.7.2"));
  // From inside a pod, which the kernel tells nobody: it is the next pod's link
  // that has the mode set back, and then the host link asks for addresses.
  pod.host.Shell("ip link set eth0 type ipvlan mode l3s");
  Pod next;
  ASSERT_TRUE(network_->Attach(next.Request()).ok());
  EXPECT_TRUE(Eventually(stands)) << host_link();
  EXPECT_TRUE(Reaches(third_, pod.host, "10.9.7.2"));
  EXPECT_TRUE(Reaches(third_, next.host, "10.9.7.3"));
  EXPECT_TRUE(network_->GetReadiness().ready);
}

TEST_F(IpvlanTest, NewAddressesOfTheParentAreToldToLaterPods) {
  StartReady();
  node_.Shell("ip address add 192.0.2.7/24 dev lan0");
  Pod pod;
  EXPECT_TRUE(Eventually([&] {
    Pod probe;
    if (!network_->Attach(probe.Request()).ok()) return false;
    const std::string known = probe.host.Shell("ip neigh show nud permanent");
    EXPECT_TRUE(network_->Detach(probe.id).ok());
    return known.find("192.0.2.7 ") != std::string::npos;
  }));
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_TRUE(Reaches(pod.host, node_, "192.0.2.7"));
}

TEST_F(IpvlanTest, NeverTouchesTheParent) {
  const std::string look =
      "ip -d -o address show lan0 scope global; sysctl -a -r "
      "'^net.ipv4.conf.lan0.' "
      "2>/dev/null";
  const std::string before = node_.Shell(look);
  StartReady();
  network_.reset();
  absl::Status removed;
  node_.Run([&] { removed = RemoveNodeDevices(options_); });
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_EQ(node_.Shell(look), before);
  EXPECT_THAT(node_.Shell("ip -o link"),
              Not(HasSubstr(options_.host_link_name)));
}

TEST_F(IpvlanTest, L3sNeedsARouteFromOutsideAndNothingElse) {
  UseL3s();
  options_.service_cidr = "10.96.0.0/12";
  StartReady();
  Pod pod, sibling;
  AttachRequest request = pod.Request();
  request.host_ports.push_back({HostPort::Protocol::kTcp, 12000, 80, ""});
  const auto addresses = network_->Attach(request);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_TRUE(network_->Attach(sibling.Request()).ok());
  for (const char* ip : {"10.50.3.2", "fd00:50::2"}) {
    EXPECT_TRUE(Reaches(node_, pod.host, ip)) << ip;
    EXPECT_TRUE(Reaches(third_, pod.host, ip)) << ip;
    EXPECT_TRUE(Reaches(sibling.host, pod.host, ip)) << ip;
  }
  for (const char* ip : {"10.50.3.1", "10.9.0.1", "fd00:50::1", "fd00:9::1"}) {
    EXPECT_TRUE(Reaches(pod.host, node_, ip)) << ip;
  }
  EXPECT_TRUE(Reaches(pod.host, third_, "10.9.0.2"));
  EXPECT_TRUE(Reaches(pod.host, third_, "fd00:9::2"));
  // The host's netfilter is on the way: nothing need hide the client.
  EXPECT_EQ(ReachesPort(third_, pod.host, "10.9.0.1", 12000, 80), "10.9.0.2");
  EXPECT_EQ(ReachesPort(node_, pod.host, "127.0.0.1", 12000, 80), "10.50.3.1");
  // As kube-proxy would; what pods send is as the host's own.
  node_.Shell(
      "nft 'table ip proxy { chain output { type nat hook output "
      "priority -100; ip daddr 10.96.0.10 dnat to 10.50.3.3; "
      "ip daddr 10.96.0.11 dnat to 10.9.0.2; }; }'");
  EXPECT_TRUE(Reaches(pod.host, sibling.host, "10.96.0.10"));
  EXPECT_TRUE(Reaches(pod.host, third_, "10.96.0.11"));
}

// What pods send is as the host's own, but over the parent alone.
TEST_F(IpvlanTest, L3sIsNoWayToTheNodesLoopback) {
  UseL3s();
  StartReady();
  Pod attacker, pod;
  ASSERT_TRUE(network_->Attach(attacker.Request()).ok());
  // With a host port the host link lets loopback's answers out.
  AttachRequest request = pod.Request();
  request.host_ports.push_back({HostPort::Protocol::kTcp, 12000, 80, ""});
  ASSERT_TRUE(network_->Attach(request).ok());
  attacker.host.Shell(
      "ip link set lo down && ip route flush table local && "
      "ip route add local 10.50.3.2 dev eth0 table local && "
      "ip route add 127.0.0.0/8 via 10.50.3.1 dev eth0 src 10.50.3.2 && "
      "sysctl -qw net.ipv4.conf.all.route_localnet=1");
  EXPECT_TRUE(Reaches(attacker.host, node_, "10.9.0.1"));
  EXPECT_EQ(ReachesPort(attacker.host, node_, "127.0.0.1", 81, 81, kInVain),
            "");
}

TEST_F(IpvlanTest, L3sOnTheParentsOwnSubnetIsRefused) {
  options_.ipvlan_mode = IpvlanMode::kL3s;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Reason(), "RangeUnusable");
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("network.ipvlan_mode = \"l2\""));
}

}  // namespace
}  // namespace pinion::network
