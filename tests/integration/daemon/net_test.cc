// pinionctl net: what it shows, and that it says why what was broken on
// purpose does not work.

#include <nlohmann/json.hpp>

#include "tests/integration/daemon/net_bed.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kNamedParent[] =
    "parent = \"lan0\"\ngateway = \"10.88.100.1\"\n";

// A pod on the LAN, whose gateway serves DNS.
class OnLanTest : public ::testing::Test {
 protected:
  OnLanTest()
      : dns_(DnsServer::Dnsmasq(PathOf(lan_.host), {"--address=/#/192.0.2.1"})),
        bed_(kNamedParent),
        pod_(bed_.RunPod("web", {"10.88.100.1"})),
        ip_(bed_.AddressOf(pod_)) {}

  void Lan(const std::string& command) { lan_.host.Shell(command); }

  struct Lan lan_;
  std::unique_ptr<DnsServer> dns_;
  NetBed bed_;
  const std::string pod_;
  const std::string ip_;
};

TEST_F(OnLanTest, ShowsAndTries) {
  const Outcome outcome = bed_.Net("test/web", {"--timeout", "30"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  for (const std::string& text : std::vector<std::string>{
           "test/web", "mode macvlan, parent lan0, host link pinion-host",
           ip_ + " of 10.88.0.0/22", "eth0", "macvlan", "routes",
           "default via 10.88.100.1 dev eth0", "neighbours", "PERMANENT",
           "host to pod", "pod to host", "full packets", "gateway",
           "no duplicate", "DNS over UDP", "DNS over TCP", "NOERROR",
           "DNS is asked for kubernetes.default.svc.cluster.local"}) {
    EXPECT_THAT(outcome.output, HasSubstr(text));
  }
  EXPECT_THAT(outcome.output, Not(HasSubstr("FAIL")));

  const Outcome machine =
      bed_.Net(pod_.substr(0, 8), {"--json", "--timeout", "30"});
  const auto json = nlohmann::json::parse(machine.output, nullptr, false);
  ASSERT_TRUE(json.is_object()) << machine.output;
  EXPECT_EQ(json["pod_id"], pod_);
  EXPECT_EQ(json["well"], true);
  EXPECT_EQ(json["addresses"][0], ip_);
  EXPECT_EQ(json["checks"].size(), 8U);
  for (const auto& check : json["checks"]) EXPECT_EQ(check["ok"], true);
}

TEST_F(OnLanTest, ANameThatThePodChoseIsNoCommand) {
  bed_.InPod(pod_, "ip link set eth0 name \"a;reboot\"");
  const Outcome outcome = bed_.Net(pod_, {});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.output, HasSubstr("a?reboot"));
  EXPECT_THAT(outcome.output, Not(HasSubstr("a;reboot")));
}

TEST_F(OnLanTest, KnowsNobodyElse) {
  const Outcome unknown = bed_.Net("test/none", {});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.output, HasSubstr("no pod sandbox"));
  EXPECT_EQ(bed_.Net(pod_, {"--timeout", "0"}).exit_code, 2);
  EXPECT_EQ(bed_.Net(pod_, {"--query", "a..b"}).exit_code, 2);
}

TEST_F(OnLanTest, FaultsOfTheLan) {
  bed_.Works(pod_);
  OnNode("ip link set lan0 down");
  bed_.Fails(pod_, "the parent lan0 is down");
  OnNode("ip link set lan0 up");
  Lan("ip link set lan0 down");
  bed_.Fails(pod_, "the parent lan0 has no carrier");
  Lan("ip link set lan0 up");

  Lan("ip addr add " + ip_ + "/32 dev lan0");
  bed_.Fails(pod_, "duplicate address: ");
  Lan("ip addr del " + ip_ + "/32 dev lan0");
  // It answered no question of what took it for itself; who was asked in vain
  // is waited for.
  bed_.InPod(pod_, "ip neigh flush dev eth0");

  Lan("ip link set lan0 mtu 1400");
  bed_.Fails(pod_,
             "MTU mismatch: packets of 1500 bytes, the pod's MTU, do not get "
             "to 10.88.100.1");
  Lan("ip link set lan0 mtu 1500");

  // The switch's port security.
  const std::string mac = OnNode("ip -br link show lan0 | awk '{print $3}'");
  Lan("nft 'table netdev pn { chain in { type filter hook ingress device lan0 "
      "priority 0; ether saddr != " +
      mac.substr(0, 17) + " drop; }; }'");
  bed_.InPod(pod_, "ip neigh flush dev eth0");
  bed_.Fails(
      pod_,
      "the node reaches 10.88.100.1 and the pod does not: what is behind "
      "lan0 lets only the node's own MAC through");
  Lan("nft delete table netdev pn");

  Lan("ip addr del 10.88.100.1/16 dev lan0");
  bed_.InPod(pod_, "ip neigh flush dev eth0");
  OnNode("ip neigh flush dev lan0");
  bed_.Fails(pod_, "nobody answers for 10.88.100.1");
  Lan("ip addr add 10.88.100.1/16 dev lan0");
  // Who was asked for in vain is still waited for, and then given up.
  bed_.InPod(pod_, "ip neigh flush dev eth0");
  OnNode("ip neigh flush dev lan0");
  bed_.Works(pod_);
}

TEST_F(OnLanTest, FaultsInThePod) {
  bed_.InPod(pod_,
             "nft \"table inet t { chain c { type filter hook output "
             "priority 0; policy drop; }; }\"");
  bed_.Fails(pod_, "a packet filter of the pod does not let the packet out");
  bed_.InPod(pod_, "nft delete table inet t");
  bed_.InPod(pod_,
             "nft \"table inet t { chain c { type filter hook input "
             "priority 0; policy drop; }; }\"");
  bed_.Fails(pod_, "the pod's packet filter: chain inet t c (input) drops");
  bed_.InPod(pod_, "nft delete table inet t");

  const std::string node_mac =
      bed_.InPod(pod_, "ip neigh show 10.88.100.2 | cut -d\" \" -f5");
  bed_.InPod(pod_,
             "ip neigh replace 10.88.100.2 lladdr 02:00:00:00:00:01 dev "
             "eth0 nud permanent");
  bed_.Fails(pod_,
             "stale neighbour: the pod takes the node 10.88.100.2 for "
             "02:00:00:00:00:01");
  bed_.InPod(pod_, "ip neigh replace 10.88.100.2 lladdr " +
                       node_mac.substr(0, 17) + " dev eth0 nud permanent");
  bed_.Works(pod_);

  bed_.InPod(pod_, "ip route flush dev eth0");
  bed_.Fails(pod_, "no route: the pod has none to 10.88.100.2");
  bed_.Fails(pod_, "no route back: the pod has none to 10.88.100.2");
  bed_.InPod(pod_, "ip link set eth0 down");
  bed_.Fails(pod_, "the pod's eth0 is down");
  bed_.InPod(pod_, "ip link set eth0 up && ip addr flush dev eth0");
  bed_.Fails(pod_, "no device of the pod has its address " + ip_);
  bed_.InPod(pod_, "ip link del eth0");
  bed_.Fails(pod_, "the pod has no device eth0");
}

TEST_F(OnLanTest, FaultsOfTheNode) {
  OnNode("ip neigh replace " + ip_ +
         " lladdr 02:00:00:00:00:01 dev pinion-host nud permanent");
  bed_.Fails(pod_, "stale neighbour: the node takes " + ip_ +
                       " for 02:00:00:00:00:01");
  OnNode("ip neigh del " + ip_ + " dev pinion-host");
  OnNode("ip route add " + ip_ + "/32 dev lan0");
  bed_.Fails(pod_, "the node sends to " + ip_ +
                       " over lan0, not over its host link pinion-host");
  OnNode("ip route del " + ip_ + "/32 dev lan0");

  OnNode(
      "nft 'table inet t { chain c { type filter hook output priority 0; "
      "policy drop; }; }'");
  bed_.Fails(pod_, "a packet filter of the node does not let the packet out");
  OnNode("nft delete table inet t");
  OnNode(
      "nft 'table inet t { chain c { type filter hook input priority 0; "
      "policy drop; }; }'");
  bed_.Fails(pod_, "the node's packet filter: chain inet t c (input) drops");
  OnNode("nft delete table inet t");

  bed_.Works(pod_);
}

TEST_F(OnLanTest, FaultsOfDns) {
  dns_.reset();
  bed_.Fails(pod_, "nothing listens on port 53 of 10.88.100.1");
  dns_ = DnsServer::Dnsmasq(PathOf(lan_.host), {});
  bed_.Fails(pod_,
             "DNS answers REFUSED: 10.88.100.1 does not serve this client");
  dns_.reset();
  dns_ = DnsServer::Always(PathOf(lan_.host), 2);
  bed_.Fails(pod_, "DNS answers SERVFAIL: 10.88.100.1 cannot ask its own");
  dns_.reset();
  dns_ = DnsServer::Always(PathOf(lan_.host), 4);
  bed_.Fails(pod_, "DNS answers NOTIMP");
  dns_.reset();
  dns_ = DnsServer::Always(PathOf(lan_.host), -1);
  bed_.Fails(pod_, "no DNS: what came is too short for DNS");
  dns_.reset();
  dns_ = DnsServer::Dnsmasq(PathOf(lan_.host), {"--address=/#/192.0.2.1"});
  bed_.Works(pod_);
  for (const auto& [protocol, text] :
       {std::pair("udp", "UDP port 53 of 10.88.100.1 is filtered"),
        std::pair("tcp", "TCP port 53 of 10.88.100.1 is filtered")}) {
    lan_.host.Shell(
        "nft 'table ip t { chain c { type filter hook input "
        "priority 0; " +
        std::string(protocol) + " dport 53 drop; }; }'");
    bed_.Fails(pod_, text);
    lan_.host.Shell("nft delete table ip t");
  }
  bed_.Fails(bed_.RunPod("stub", {"127.0.0.53"}),
             "the pod's DNS server 127.0.0.53 is the pod itself");
}

// The node is the gateway, and DNS is beyond it.
class BeyondNodeTest : public ::testing::Test {
 protected:
  struct Far {
    Far() {
      for (const char* name : {"far0", "far1"}) Plug(host, name);
      OnNode(
          "ip addr add 203.0.113.1/24 dev far0; ip addr add "
          "198.51.100.1/24 dev far1; sysctl -qw net.ipv4.ip_forward=1; "
          "sysctl -qw net.ipv4.conf.all.rp_filter=0");
      host.Shell(
          "ip addr add 203.0.113.53/24 dev far0; ip addr add "
          "198.51.100.53/24 dev far1; "
          "ip route add default via 203.0.113.1");
    }
    ~Far() { OnNode("ip link del far0; ip link del far1"); }
    TestHost host;
  };

  Far far_;
  std::unique_ptr<DnsServer> dns_ =
      DnsServer::Dnsmasq(PathOf(far_.host), {"--address=/#/192.0.2.1"});
  NetBed bed_{"service_cidr = \"192.0.2.0/24\"\n"};
};

TEST_F(BeyondNodeTest, FaultsOnTheWay) {
  const std::string pod = bed_.RunPod("web", {"203.0.113.53"});
  bed_.Works(pod);
  OnNode("sysctl -qw net.ipv4.ip_forward=0");
  bed_.Fails(pod, "the node is the way to 203.0.113.53 and does not forward");
  OnNode("sysctl -qw net.ipv4.ip_forward=1");
  OnNode("iptables -P FORWARD DROP");
  bed_.Fails(pod,
             "the node's packet filter: chain ip filter FORWARD (forward)"
             " drops what no rule accepts");
  OnNode("iptables -P FORWARD ACCEPT");

  // The answer takes the other cable.
  OnNode("sysctl -qw net.ipv4.conf.far1.rp_filter=1");
  // Its ARP request would be dropped before, and not counted.
  const std::string mac = OnNode("ip -br link show far1 | awk '{print $3}'");
  far_.host.Shell("ip neigh replace 198.51.100.1 lladdr " + mac.substr(0, 17) +
                  " dev far1 nud permanent; "
                  "ip route replace default via 198.51.100.1");
  bed_.Fails(pod, "rp_filter: the node dropped ");
  far_.host.Shell("ip route del default");
  bed_.Fails(pod, "the node forwards, and no answer comes back");

  const std::string ip = bed_.AddressOf(pod);
  OnNode("ip rule add to " + ip + " priority 1 unreachable");
  bed_.Fails(pod, "no route: the node has none to " + ip);
  OnNode("ip rule del priority 1");
}

TEST_F(BeyondNodeTest, AServiceThatNobodyServes) {
  OnNode("ip route add blackhole 192.0.2.10/32");
  const std::string pod = bed_.RunPod("web", {"192.0.2.10"});
  bed_.Fails(pod, "192.0.2.10 is a service: nothing on the node leads to");
  OnNode("ip route del blackhole 192.0.2.10/32");
}

TEST(NetModesTest, NoHostLink) {
  Lan lan;
  NetBed bed(std::string(kNamedParent) + "host_link = false\n");
  const std::string pod = bed.RunPod("web", {});
  bed.Fails(pod, "no host link: network.host_link is false");
}

// The daemon looks for its host link's name, and finds out late.
TEST(NetModesTest, HostLinkRenamed) {
  Lan lan;
  NetBed bed(kNamedParent);
  const std::string pod = bed.RunPod("web", {});
  OnNode("ip link set pinion-host name renamed && ip link set renamed down");
  bed.Fails(pod, "no host link: the node has no device pinion-host");
  OnNode("ip link set renamed name pinion-host up");
}

TEST(NetModesTest, LoopbackOnlyAndTheNodesOwn) {
  NetBed bed("mode = \"none\"\n");
  const std::string pod = bed.RunPod("alone", {"192.0.2.53"});
  const Outcome alone = bed.Look(pod);
  EXPECT_EQ(alone.exit_code, 0) << alone.output;
  EXPECT_THAT(alone.output, AllOf(HasSubstr("mode none"),
                                  HasSubstr("the pod has loopback only")));

  auto config = bed.daemon().PodConfig("node");
  config.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_network(cri::NODE);
  config.mutable_dns_config()->clear_servers();
  config.mutable_dns_config()->add_servers("127.0.0.1");
  const Outcome host = bed.Look(bed.daemon().RunPod(config));
  EXPECT_EQ(host.exit_code, 1);
  EXPECT_THAT(host.output,
              AllOf(HasSubstr("the node's own network: nothing was attached"),
                    HasSubstr("nothing listens on port 53 of 127.0.0.1")));

  EXPECT_TRUE(bed.daemon().StopPod(pod).ok());
  const Outcome stopped = bed.Look(pod);
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_THAT(stopped.output, HasSubstr("not ready: its network went with it"));
}

TEST(NetModesTest, PodsOfUserNamespaces) {
  NetBed bed("");
  auto config = bed.daemon().PodConfig("mapped");
  auto* userns = config.mutable_linux()
                     ->mutable_security_context()
                     ->mutable_namespace_options()
                     ->mutable_userns_options();
  userns->set_mode(cri::POD);
  for (auto* mapping : {userns->add_uids(), userns->add_gids()}) {
    mapping->set_host_id(131072);
    mapping->set_length(65536);
  }
  config.mutable_dns_config()->clear_servers();
  const Outcome outcome = bed.Look(bed.daemon().RunPod(config), "5");
  EXPECT_THAT(outcome.output,
              AllOf(HasSubstr("user ns its own"), HasSubstr("ok host to pod"),
                    HasSubstr("ok pod to host")));
}

TEST(NetModesTest, OnPinionsBridge) {
  OnNode("sysctl -qw net.ipv4.ip_forward=1");
  NetBed bed("mode = \"bridge\"\n");
  const auto dns = DnsServer::Always(PathOfNode(), 0);
  const std::string pod = bed.RunPod("web", {"10.88.0.1"});
  const Outcome well = bed.Look(pod);
  EXPECT_EQ(well.exit_code, 0) << well.output;
  EXPECT_THAT(well.output,
              AllOf(HasSubstr("mode bridge"), HasSubstr("of bridge pinion0"),
                    HasSubstr("ok pod to host 10.88.0.1"),
                    Not(HasSubstr("no duplicate"))));
  OnNode("ip neigh replace " + bed.AddressOf(pod) +
         " lladdr 02:00:00:00:00:01 dev pinion0 nud permanent");
  bed.Fails(pod, "stale neighbour: the node takes " + bed.AddressOf(pod));
}

TEST(NetModesTest, OfCniPlugins) {
  char dir[] = "/tmp/pn-net-cni-XXXXXX";
  ASSERT_NE(mkdtemp(dir), nullptr);
  const std::string d = dir;
  OnNode("cat >" + d + R"(/10-x.conflist <<'END'
{"cniVersion": "1.0.0", "name": "pn-net", "plugins": [
  {"type": "bridge", "bridge": "pn-net0", "isGateway": true, "mtu": 1400,
   "ipam": {"type": "host-local", "dataDir": ")" +
         d + R"(/data",
            "ranges": [[{"subnet": "10.79.0.0/24"}], [{"subnet": "fd00:79::/64"}]],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}}]}
END
)");
  {
    NetBed bed("mode = \"cni\"\ncni_conf_dir = \"" + d + "\"\n");
    const std::string pod = bed.RunPod("web", {"10.79.0.1"});
    const auto dns = DnsServer::Always(PathOfNode(), 0);
    // The kernel looks whether another has the bridge's address, first.
    EXPECT_TRUE(testing_support::Eventually([] {
      return OnNode("ip -6 route get fd00:79::2").find("src fd00:79::1") !=
             std::string::npos;
    }));
    EXPECT_EQ(bed.InPod(pod, "cat /proc/sys/net/ipv6/conf/eth0/accept_ra"),
              "1\n");
    const Outcome well = bed.Look(pod);
    EXPECT_EQ(well.exit_code, 0) << well.output;
    EXPECT_THAT(well.output,
                AllOf(HasSubstr("mode cni"), HasSubstr("of bridge pn-net0"),
                      HasSubstr("ok host to pod fd00:79::2"),
                      HasSubstr("ok pod to host fd00:79::1"),
                      HasSubstr("ok full packets fd00:79::1")));
    const std::string port =
        OnNode("ip -br link show master pn-net0 | cut -d@ -f1");
    const std::string name = port.substr(0, port.find('\n'));
    OnNode("ip link set " + name + " down");
    bed.Fails(pod, "the node's end of the cable, " + name + " is down");
    OnNode("ip link set " + name + " up && ip link set pn-net0 down");
    bed.Fails(pod, "the bridge pn-net0 is down");
    OnNode("ip link set pn-net0 up");
    bed.InPod(pod, "ip link set eth0 mtu 3000");
    bed.Fails(
        pod,
        "MTU mismatch: packets of 3000 bytes, the pod's MTU, do not get to "
        "10.79.0.1; " +
            name + " has 1400");
    EXPECT_TRUE(bed.daemon().StopPod(pod).ok());
    OnNode("ip link del pn-net0");
  }
  OnNode("rm -r " + d);
}

}  // namespace
}  // namespace pinion::testing
