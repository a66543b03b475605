// What mode "bridge" does that no other does: gateway, masquerade, forwarding.

#include <gmock/gmock.h>

#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing_support::AddAddress;
using testing_support::ReachesPort;

constexpr std::chrono::seconds kInVain(1);

class BridgeTest : public NetworkTest {
 protected:
  BridgeTest() {
    options_.mode = Options::Mode::kBridge;
    options_.range = "10.7.1.0/24,fd00:7::/64";
    node_.Shell("ip link set lo up && sysctl -qw " + kForwarding);
    // A host beyond the node, which knows no way to the pods.
    Connect(node_, beyond_, "wire");
    AddAddress(node_, "wire", "192.0.2.1/24");
    AddAddress(node_, "wire", "2001:db8::1/64");
    AddAddress(beyond_, "wire", "192.0.2.9/24");
    AddAddress(beyond_, "wire", "2001:db8::9/64");
  }

  static inline const std::string kForwarding =
      "net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";

  // The bridge that a device is plugged into; empty: none.
  std::string Master(const std::string& port) {
    std::string name =
        node_.Shell("ip -o link show " + port +
                    " | sed -n 's/.* master \\([^ ]*\\) .*/\\1/p'");
    if (!name.empty()) name.pop_back();
    return name;
  }

  TestHost beyond_;
};

TEST_F(BridgeTest, PodsReachTheWorldUnderTheNodesAddress) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_EQ(ReachesPort(pod.host, beyond_, "192.0.2.9", 80, 80), "192.0.2.1");
  EXPECT_EQ(ReachesPort(pod.host, beyond_, "2001:db8::9", 80, 80),
            "2001:db8::1");
  EXPECT_TRUE(Reaches(pod.host, node_, "192.0.2.1"));
  // And nobody beyond the node reaches them.
  EXPECT_EQ(ReachesPort(beyond_, pod.host, "10.7.1.2", 80, 80, kInVain), "");
}

TEST_F(BridgeTest, ExceptionsSeeThePodsOwnAddress) {
  options_.no_masquerade = {"192.0.2.0/24", "2001:db8::/64"};
  beyond_.Shell(
      "ip route add 10.7.1.0/24 via 192.0.2.1 && "
      "ip route add fd00:7::/64 via 2001:db8::1");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_EQ(ReachesPort(pod.host, beyond_, "192.0.2.9", 80, 80), "10.7.1.2");
  EXPECT_EQ(ReachesPort(pod.host, beyond_, "2001:db8::9", 80, 80), "fd00:7::2");
  EXPECT_EQ(ReachesPort(beyond_, pod.host, "10.7.1.2", 80, 80), "192.0.2.9");
}

TEST_F(BridgeTest, AServiceElsewhereSeesTheNodesAddressThere) {
  options_.service_cidr = "10.96.0.0/12";
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  // As kube-proxy would.
  node_.Shell(
      "nft 'table ip proxy { chain prerouting { type nat hook prerouting "
      "priority -100; ip daddr 10.96.0.10 dnat to 192.0.2.9; }; }'");
  EXPECT_EQ(ReachesPort(pod.host, beyond_, "10.96.0.10", 80, 80), "192.0.2.1");
}

// With br_netfilter's filters the bridge itself translates what passes it, and
// a pod that is led to itself must be given back its own frame.
TEST_F(BridgeTest, APodReachesItselfOverAService) {
  options_.service_cidr = "10.96.0.0/12";
  ASSERT_TRUE(Start().ok());
  Pod pod, other;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  ASSERT_TRUE(network_->Attach(other.Request()).ok());
  node_.Shell(
      "nft 'table ip proxy { chain prerouting { type nat hook prerouting "
      "priority -100; ip daddr 10.96.0.10 dnat to 10.7.1.2; }; }'");
  for (const char* const filtered : {"0", "1"}) {
    node_.Shell(std::string("sysctl -qw net.bridge.bridge-nf-call-iptables=") +
                filtered);
    EXPECT_TRUE(Reaches(pod.host, pod.host, "10.96.0.10")) << filtered;
    EXPECT_TRUE(Reaches(other.host, pod.host, "10.96.0.10")) << filtered;
    EXPECT_TRUE(Reaches(other.host, pod.host, "10.7.1.2")) << filtered;
  }
  // The port's mode is what makes it work.
  node_.Shell("ip link set pn-6e700a070102 type bridge_slave hairpin off");
  EXPECT_FALSE(Reaches(pod.host, pod.host, "10.96.0.10", kInVain));
}

TEST_F(BridgeTest, SaysWhenTheNodeForwardsNothing) {
  ASSERT_TRUE(Start().ok());
  const auto reason = [this] { return network_->GetReadiness().reason; };
  EXPECT_EQ(reason(), "");
  node_.Shell("sysctl -qw net.ipv4.ip_forward=0");
  EXPECT_TRUE(Eventually([&] { return reason() == "ForwardingOff"; }));
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("sysctl -w net.ipv4.ip_forward=1"));
  Pod pod;
  EXPECT_TRUE(
      absl::IsFailedPrecondition(network_->Attach(pod.Request()).status()));
  // One device, the one that leads out, is enough.
  node_.Shell("sysctl -qw net.ipv4.conf.wire.forwarding=1");
  EXPECT_TRUE(Eventually([&] { return reason() == ""; }));
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_TRUE(Reaches(pod.host, beyond_, "192.0.2.9"));

  node_.Shell("sysctl -qw net.ipv6.conf.all.forwarding=0");
  EXPECT_TRUE(Eventually([&] { return reason() == "ForwardingOff"; }));
  EXPECT_THAT(network_->GetReadiness().message,
              testing::AllOf(HasSubstr("accept_ra=2"),
                             HasSubstr("then run sysctl -w "
                                       "net.ipv6.conf.all.forwarding=1,")));
  node_.Shell("sysctl -qw net.ipv6.conf.all.forwarding=1");
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }));
}

TEST_F(BridgeTest, TheDeviceThatLeadsOutMustForward) {
  ASSERT_TRUE(Start().ok());
  const auto reason = [this] { return network_->GetReadiness().reason; };
  Connect(node_, beyond_, "side.1");
  node_.Shell("sysctl -qw net.ipv4.conf.wire.forwarding=0");
  // The other one does, and nothing is known of what leads where.
  EXPECT_EQ(reason(), "");
  node_.Shell("ip route add default via 192.0.2.9");
  EXPECT_TRUE(Eventually([&] { return reason() == "ForwardingOff"; }));
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("sysctl -w net.ipv4.conf.wire.forwarding=1"));
  node_.Shell("ip address add 198.51.100.1/24 dev side.1");
  node_.Shell("ip route replace default via 198.51.100.9");
  EXPECT_TRUE(Eventually([&] { return reason() == ""; }));
  // What is taken away from it alone is noticed, too.
  node_.Shell("sysctl -qw net.ipv4.conf.side/1.forwarding=0");
  EXPECT_TRUE(Eventually([&] { return reason() == "ForwardingOff"; }));
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("net.ipv4.conf.side/1.forwarding=1"));
  node_.Shell("sysctl -qw net.ipv4.conf.side/1.forwarding=1");
  EXPECT_TRUE(Eventually([&] { return reason() == ""; }));
}

TEST_F(BridgeTest, TheNodesNetworkIsNoRange) {
  options_.range = "192.0.2.0/24";
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(network_->GetReadiness().reason, "RangeUnusable");
  EXPECT_TRUE(Reaches(node_, beyond_, "192.0.2.9"));
}

TEST_F(BridgeTest, PodsHaveTheMtuOfTheWayOut) {
  const auto mtu = [](TestHost& host, const std::string& device) {
    return host.Shell("ip -o link show " + device +
                      " | sed 's/.* mtu \\([0-9]*\\) .*/\\1/'");
  };
  ASSERT_TRUE(Start().ok());
  Pod early, late, last;
  ASSERT_TRUE(network_->Attach(early.Request()).ok());
  EXPECT_EQ(mtu(early.host, "eth0"), "1500\n") << "there is no way out yet";
  // A packet of this size gets through, and no larger one.
  node_.Shell("ip link set wire mtu 1400");
  beyond_.Shell("ip link set wire mtu 1400");
  node_.Shell("ip route add default via 192.0.2.9");
  EXPECT_TRUE(Eventually([&] { return mtu(node_, "pinion0") == "1400\n"; }));
  ASSERT_TRUE(network_->Attach(late.Request()).ok());
  EXPECT_EQ(mtu(late.host, "eth0"), "1400\n");
  EXPECT_TRUE(Reaches(late.host, early.host, "10.7.1.2"));
  EXPECT_TRUE(Reaches(early.host, late.host, "10.7.1.3"));
  late.host.Shell("ping -q -M do -s 1372 -c 1 -w 60 192.0.2.9");
  // Less than that is noticed as it comes, more only when nobody has less: the
  // bridge would drop what is too large for a pod, and tell nobody.
  node_.Shell("ip link set wire mtu 1380");
  EXPECT_TRUE(Eventually([&] { return mtu(node_, "pinion0") == "1380\n"; }));
  node_.Shell("ip link set wire mtu 9000");
  EXPECT_TRUE(Eventually([&] { return mtu(node_, "pinion0") == "1400\n"; }));
  beyond_.Shell(
      "ip link set wire mtu 9000 && ip route add default via "
      "192.0.2.1");
  EXPECT_THAT(beyond_.Shell("ping -M do -s 1472 -c 1 -w 60 10.7.1.3 || true"),
              HasSubstr("mtu = 1400"));
  // Without a way out it stays; the address comes after that was seen.
  node_.Shell("ip route del default && ip address del 10.7.1.1/32 dev pinion0");
  // Until it is there the node says that it knows no way to it.
  EXPECT_TRUE(
      Eventually([&] { return Reaches(early.host, node_, "10.7.1.1"); }));
  EXPECT_EQ(mtu(node_, "pinion0"), "1400\n");
  // The configuration's word is for pods made from then on.
  options_.mtu = 1600;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(mtu(node_, "pinion0"), "1400\n");
  ASSERT_TRUE(network_->Attach(last.Request()).ok());
  EXPECT_EQ(mtu(last.host, "eth0"), "1600\n");
  options_.mtu = 1300;
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(mtu(node_, "pinion0"), "1300\n");
}

TEST_F(BridgeTest, TheRoutesMtuCountsToo) {
  node_.Shell("ip route add default via 192.0.2.9 mtu 1350");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_THAT(pod.host.Shell("ip -o link show eth0"), HasSubstr("mtu 1350 "));
}

// With less than IPv6 needs the kernel knows nothing of it on the device.
TEST_F(BridgeTest, AnMtuThatIsTooSmallForIpv6IsFineWithoutIt) {
  options_.range = "10.7.1.0/24";
  options_.mtu = 1000;
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  ASSERT_TRUE(Start().ok());
  node_.Shell("ip link set pinion0 down");
  // Until it is up again there is no route.
  EXPECT_TRUE(Eventually([&] { return Reaches(node_, pod.host, "10.7.1.2"); }));
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }));
}

// Each bridge forwards because its daemon turned that on for it.
TEST_F(BridgeTest, DaemonsSideBySideDoNotVouchForEachOther) {
  node_.Shell("sysctl -qw net.ipv4.ip_forward=0");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(network_->GetReadiness().reason, "ForwardingOff");
  const std::unique_ptr<PodNetwork> first = std::move(network_);
  options_.bridge_name = "pn-second";
  options_.range = "10.7.2.0/24";
  options_.ipam_dir = dir_ + "/second";
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(network_->GetReadiness().reason, "ForwardingOff");
  network_.reset();
  options_.bridge_name = "pinion0";
  options_.range = "10.7.1.0/24,fd00:7::/64";
}

TEST_F(BridgeTest, DaemonsOfDifferentMtuComeToRest) {
  node_.Shell(
      "ip link set wire mtu 1400 && ip route add default via 192.0.2.9");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  // From then on its looks are told of: they set up the bridge for host ports.
  ASSERT_TRUE(network_->Reconcile({{pod.id, {"10.7.1.2", "fd00:7::2"}}}).ok());
  // The pod keeps the first bridge's down.
  node_.Shell("ip link set wire mtu 1450");
  const std::unique_ptr<PodNetwork> first = std::move(network_);
  options_.bridge_name = "pn-second";
  options_.range = "10.7.2.0/24";
  options_.ipam_dir = dir_ + "/second";
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({}).ok());
  EXPECT_THAT(node_.Shell("ip link show pinion0"), HasSubstr("mtu 1400"));
  EXPECT_THAT(node_.Shell("ip link show pn-second"), HasSubstr("mtu 1450"));
  // Others whenever they are written again.
  const auto handles = [this] {
    return node_.Shell(
        "nft -a list table ip pinion0 | head -1; "
        "nft -a list table ip pn-second | head -1");
  };
  EXPECT_TRUE(Eventually([&] {
    const std::string before = handles();
    for (int i = 0; i < 100; ++i) {
      if (handles() != before) return false;
    }
    return true;
  }));
}

TEST_F(BridgeTest, ItsMacStaysWhoeverComesAndGoes) {
  ASSERT_TRUE(Start().ok());
  const std::string show = "ip -br link show pinion0 | grep -o '6e:[0-9a-f:]*'";
  EXPECT_EQ(node_.Shell(show), "6e:70:0a:07:01:01\n");
  {
    Pod pod;
    ASSERT_TRUE(network_->Attach(pod.Request()).ok());
    EXPECT_EQ(node_.Shell(show), "6e:70:0a:07:01:01\n");
    EXPECT_THAT(
        node_.Shell("ip -d link show pn-6e700a070102"),
        testing::AllOf(HasSubstr("master pinion0"), HasSubstr("hairpin on"),
                       HasSubstr("alias made by pinion")));
    EXPECT_THAT(node_.Shell("ip address show pn-6e700a070102"),
                Not(HasSubstr("inet6")));
    ASSERT_TRUE(network_->Detach(pod.id).ok());
  }
  ASSERT_TRUE(Eventually([&] {
    return node_.Shell("ip link").find("pn-6e70") == std::string::npos;
  }));
  EXPECT_EQ(node_.Shell(show), "6e:70:0a:07:01:01\n");
}

TEST_F(BridgeTest, AForeignDeviceOfAPortsNameCostsAnAddress) {
  node_.Shell("ip link add pn-6e700a070102 type veth peer name pn-other");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "10.7.1.3");
  EXPECT_TRUE(Reaches(node_, pod.host, "10.7.1.3"));
  // And is left as it was.
  const std::string foreign = node_.Shell("ip -d link show pn-6e700a070102");
  EXPECT_THAT(foreign, HasSubstr("state DOWN"));
  EXPECT_THAT(foreign, Not(HasSubstr("master")));
  EXPECT_THAT(foreign, Not(HasSubstr("alias")));
  // Nothing of what was tried is left to send under, not by the next pod of
  // that port either.
  EXPECT_THAT(
      node_.Shell("nft list table bridge pinion0"),
      testing::AllOf(HasSubstr("pn-6e700a070103"), HasSubstr("fd00:7::3"),
                     Not(HasSubstr("pn-6e700a070102")),
                     Not(HasSubstr("fd00:7::2"))));
}

// With all that it had; until then the node may say for a moment that it is
// ready.
TEST_F(BridgeTest, ABridgeThatIsDeletedComesBackWithItsPods) {
  ASSERT_TRUE(Start().ok());
  Pod one, two, gone;
  ASSERT_TRUE(network_->Attach(one.Request()).ok());
  ASSERT_TRUE(network_->Attach(two.Request()).ok());
  ASSERT_TRUE(network_->Attach(gone.Request()).ok());
  ASSERT_TRUE(network_->Detach(gone.id).ok());
  node_.Shell("ip link delete pinion0");
  EXPECT_TRUE(Eventually([&] {
    return Master("pn-6e700a070102") != "" && Master("pn-6e700a070103") != "";
  }));
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }));
  EXPECT_TRUE(Reaches(node_, one.host, "10.7.1.2"));
  EXPECT_TRUE(Reaches(one.host, two.host, "fd00:7::3"));
  EXPECT_EQ(ReachesPort(two.host, beyond_, "192.0.2.9", 80, 80), "192.0.2.1");
  EXPECT_THAT(node_.Shell("ip -d link show pn-6e700a070102"),
              testing::AllOf(HasSubstr("master pinion0"),
                             HasSubstr("hairpin on"), HasSubstr("state UP")));
  // One that was given back waits for its namespace's end.
  EXPECT_EQ(Master("pn-6e700a070104"), "");
}

TEST_F(BridgeTest, APortThatIsPulledIsPluggedInAgain) {
  ASSERT_TRUE(Start().ok());
  Pod pod, moved;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  ASSERT_TRUE(network_->Attach(moved.Request()).ok());
  node_.Shell(
      "ip link add pn-theirs type bridge && "
      "ip link set pn-6e700a070103 master pn-theirs && "
      "ip link set pn-6e700a070102 nomaster");
  EXPECT_TRUE(
      Eventually([&] { return Master("pn-6e700a070102") == "pinion0"; }));
  EXPECT_TRUE(Reaches(node_, pod.host, "10.7.1.2"));
  // Whoever has moved one somewhere has meant it.
  EXPECT_EQ(Master("pn-6e700a070103"), "pn-theirs");
}

TEST_F(BridgeTest, APortThatCannotBePluggedInIsItsPodsLossOnly) {
  ASSERT_TRUE(Start().ok());
  Pod pod, lost;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  ASSERT_TRUE(network_->Attach(lost.Request()).ok());
  network_.reset();
  // What has a macvlan on it can be no port: EBUSY.
  node_.Shell(
      "ip link set pn-6e700a070103 nomaster && "
      "ip link set pn-6e700a070102 nomaster && "
      "ip link add link pn-6e700a070103 name theirs type macvlan");
  testing::internal::CaptureStderr();
  ASSERT_TRUE(Start().ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(network_
                    ->Reconcile({{pod.id, {"10.7.1.2", "fd00:7::2"}},
                                 {lost.id, {"10.7.1.3", "fd00:7::3"}}})
                    .ok());
  }
  const std::string log = testing::internal::GetCapturedStderr();
  const size_t told = log.find("a pod is cut off");
  EXPECT_NE(told, std::string::npos);
  EXPECT_EQ(log.find("a pod is cut off", told + 1), std::string::npos) << log;
  EXPECT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  EXPECT_EQ(Master("pn-6e700a070102"), "pinion0");
  EXPECT_EQ(Master("pn-6e700a070103"), "");
  EXPECT_TRUE(Reaches(node_, pod.host, "10.7.1.2"));
}

TEST_F(BridgeTest, PodsArePluggedInAgainAfterARestart) {
  ASSERT_TRUE(Start().ok());
  Pod pod, unknown;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  ASSERT_TRUE(network_->Attach(unknown.Request()).ok());
  network_.reset();
  node_.Shell("ip link delete pinion0");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({{pod.id, {"10.7.1.2", "fd00:7::2"}}}).ok());
  EXPECT_EQ(Master("pn-6e700a070102"), "pinion0");
  EXPECT_TRUE(Reaches(node_, pod.host, "fd00:7::2"));
  EXPECT_EQ(Master("pn-6e700a070103"), "");
}

TEST_F(BridgeTest, RemovesPortsAndLeavesOthersInPeace) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  node_.Shell(
      "ip link add pn-guest type veth peer name pn-guest2 && "
      "ip link set pn-guest master pinion0");
  network_.reset();
  absl::Status removed;
  node_.Run([&] { removed = RemoveNodeDevices(options_); });
  ASSERT_TRUE(removed.ok()) << removed;
  const std::string links = node_.Shell("ip link");
  EXPECT_THAT(links, Not(HasSubstr("pinion0")));
  EXPECT_THAT(links, Not(HasSubstr("pn-6e70")));
  EXPECT_THAT(links, HasSubstr("pn-guest"));
  EXPECT_THAT(node_.Shell("nft list ruleset"), Not(HasSubstr("pinion0")));
}

TEST_F(BridgeTest, RefusesWhatABridgeCannotHave) {
  options_.gateway = "10.7.1.254";
  EXPECT_TRUE(absl::IsInvalidArgument(Start()));
  options_.gateway = "";
  options_.no_masquerade = {"10.0.0.1/8"};
  EXPECT_TRUE(absl::IsInvalidArgument(Start()));
  options_.no_masquerade = {};
  options_.bridge_name = "a-very-long-name";
  EXPECT_TRUE(absl::IsInvalidArgument(Start()));
}

}  // namespace
}  // namespace pinion::network
