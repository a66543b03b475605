// Ports of the node that lead to pods.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include "network/nf_tables.h"
#include "os/netlink.h"
#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing_support::AddAddress;
using testing_support::ReachesPort;

constexpr std::chrono::seconds kInVain(1);
// For what comes sooner, if it comes at all.
constexpr int kLimitMs = 60'000;

class HostPortsTest : public NetworkTest,
                      public testing::WithParamInterface<Options::Mode> {
 protected:
  HostPortsTest() {
    options_.mode = GetParam();
    options_.range = "10.7.1.0/24,fd00:7::/64";
    node_.Shell(
        "ip link set lo up && "
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    // A neighbour beyond the node, on another network.
    Connect(node_, neighbour_, "wire");
    AddAddress(node_, "wire", "192.0.2.1/24");
    AddAddress(node_, "wire", "2001:db8::1/64");
    AddAddress(neighbour_, "wire", "192.0.2.9/24");
    AddAddress(neighbour_, "wire", "2001:db8::9/64");
  }

  absl::StatusOr<PodAddresses> Attach(Pod& pod, uint16_t host_port,
                                      const std::string& host_ip = "") {
    AttachRequest request = pod.Request();
    request.host_ports.push_back(
        {HostPort::Protocol::kTcp, host_port, 80, host_ip});
    return network_->Attach(request);
  }

  std::string Tables() { return node_.Shell("nft list ruleset"); }
  std::string Table() { return NodeLinkName(options_) + "-ports"; }
  std::string RouteLocalnet() {
    return node_.Shell("sysctl -n net.ipv4.conf." + NodeLinkName(options_) +
                       ".route_localnet");
  }

  TestHost neighbour_;
};

INSTANTIATE_TEST_SUITE_P(Modes, HostPortsTest,
                         testing::ValuesIn(kModesWithPools), ModeName);

TEST_P(HostPortsTest, LeadToThePodFromEverywhere) {
  ASSERT_TRUE(Start().ok());
  Pod pod, other;
  const auto addresses = Attach(pod, 12000);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_TRUE(network_->Attach(other.Request()).ok());
  // The node, over each of its addresses; the pod sees the node.
  for (const char* const address : {"127.0.0.1", "192.0.2.1", "10.7.1.1"}) {
    EXPECT_EQ(ReachesPort(node_, pod.host, address, 12000, 80), "10.7.1.1")
        << address;
  }
  EXPECT_EQ(ReachesPort(node_, pod.host, "2001:db8::1", 12000, 80),
            "fd00:7::1");
  // Others: a neighbour, a pod, the pod itself.
  EXPECT_EQ(ReachesPort(neighbour_, pod.host, "192.0.2.1", 12000, 80),
            "10.7.1.1");
  EXPECT_EQ(ReachesPort(neighbour_, pod.host, "2001:db8::1", 12000, 80),
            "fd00:7::1");
  EXPECT_EQ(ReachesPort(other.host, pod.host, "10.7.1.1", 12000, 80),
            "10.7.1.1");
  EXPECT_EQ(ReachesPort(pod.host, pod.host, "10.7.1.1", 12000, 80), "10.7.1.1");
  // What goes to the pod's own address comes from whom it comes.
  EXPECT_EQ(ReachesPort(other.host, pod.host, addresses->ip, 80, 80),
            "10.7.1.3");
}

TEST_P(HostPortsTest, OfOneAddressAreNoOthers) {
  ASSERT_TRUE(Start().ok());
  Pod one, two;
  ASSERT_TRUE(Attach(one, 80, "192.0.2.1").ok());
  ASSERT_TRUE(Attach(two, 80, "127.0.0.1").ok());
  EXPECT_EQ(ReachesPort(neighbour_, one.host, "192.0.2.1", 80, 80), "10.7.1.1");
  EXPECT_EQ(ReachesPort(node_, two.host, "127.0.0.1", 80, 80), "10.7.1.1");
  EXPECT_EQ(ReachesPort(node_, one.host, "10.7.1.1", 80, 80, kInVain), "");
}

TEST_P(HostPortsTest, BelongToOnePodAtATime) {
  ASSERT_TRUE(Start().ok());
  Pod one, two;
  ASSERT_TRUE(Attach(one, 12000).ok());
  ASSERT_TRUE(Attach(one, 12000).ok()) << "attach is idempotent";
  const absl::Status taken = Attach(two, 12000, "192.0.2.1").status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kAlreadyExists) << taken;
  EXPECT_THAT(std::string(taken.message()),
              HasSubstr("host 192.0.2.1 port 12000 leads to pod sandbox " +
                        ShortId(one.id)));
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 1);
  // The second of the three attaches found its address claimed already.
  const std::string metrics = registry_->Render();
  for (const char* phase : {"claim", "link", "configure", "host_ports"}) {
    EXPECT_THAT(metrics,
                HasSubstr("pinion_network_attach_phase_seconds_count{phase=\"" +
                          std::string(phase) + "\"} 2"));
  }
  ASSERT_TRUE(network_->Detach(one.id).ok());
  ASSERT_TRUE(Attach(two, 12000).ok());
  EXPECT_NE(ReachesPort(node_, two.host, "127.0.0.1", 12000, 80), "");
}

TEST_P(HostPortsTest, AreGoneWithThePod) {
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(RouteLocalnet(), "0\n");
  Pod pod;
  ASSERT_TRUE(Attach(pod, 12000).ok());
  EXPECT_THAT(Tables(), HasSubstr("12000"));
  EXPECT_EQ(RouteLocalnet(), "1\n");
  ASSERT_TRUE(network_->Detach(pod.id).ok());
  EXPECT_THAT(Tables(), Not(HasSubstr(Table())));
  EXPECT_EQ(RouteLocalnet(), "0\n");
}

TEST_P(HostPortsTest, AFailedAttachLeavesNone) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  pod.host.Shell("ip link add eth0 type veth peer name other");
  EXPECT_FALSE(Attach(pod, 12000).ok());
  EXPECT_THAT(Tables(), Not(HasSubstr(Table())));
}

TEST_P(HostPortsTest, ThatLeadNowhereAreRefused) {
  options_.range = "10.7.1.0/24";
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto refused = Attach(pod, 12000, "2001:db8::1");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("2001:db8::1 port 12000 would lead nowhere"));
  for (const char* nobodys : {"224.0.0.1", "::1", "::ffff:192.0.2.1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Attach(pod, 12000, nobodys).status()))
        << nobodys;
  }
  EXPECT_THAT(Tables(), Not(HasSubstr("12000")));
  EXPECT_TRUE(Attach(pod, 12000).ok());
}

TEST_P(HostPortsTest, AreAskedForOnceInAPod) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  AttachRequest request = pod.Request();
  request.host_ports = {{HostPort::Protocol::kTcp, 12000, 80, ""},
                        {HostPort::Protocol::kTcp, 12000, 81, "192.0.2.1"}};
  EXPECT_TRUE(absl::IsInvalidArgument(network_->Attach(request).status()));
  request.host_ports[1].protocol = HostPort::Protocol::kUdp;
  EXPECT_TRUE(network_->Attach(request).ok());
}

TEST_P(HostPortsTest, AreNotASecondDaemonsToTake) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(Attach(pod, 12000).ok());
  const auto first = std::move(network_);
  const absl::Status second = Start();
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
  EXPECT_THAT(std::string(second.message()),
              HasSubstr("on this node: give this one another"));
  EXPECT_THAT(Tables(), HasSubstr("12000"));
}

TEST_P(HostPortsTest, GoAlsoWithoutTheHostLink) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(Attach(pod, 12000).ok());
  node_.Shell("ip link delete " + NodeLinkName(options_));
  const absl::Status detached = network_->Detach(pod.id);
  EXPECT_TRUE(detached.ok()) << detached;
  EXPECT_THAT(Tables(), Not(HasSubstr("12000")));
}

TEST_P(HostPortsTest, OutliveTheDaemonAndAreReconciled) {
  ASSERT_TRUE(Start().ok());
  Pod kept, gone;
  ASSERT_TRUE(Attach(kept, 12000).ok());
  ASSERT_TRUE(Attach(gone, 12001).ok());
  ASSERT_TRUE(Start().ok());
  EXPECT_NE(ReachesPort(node_, kept.host, "127.0.0.1", 12000, 80), "");
  KnownPod known = {kept.id, {"10.7.1.2", "fd00:7::2"}, {}};
  known.host_ports.push_back({HostPort::Protocol::kTcp, 12000, 80, ""});
  ASSERT_TRUE(network_->Reconcile({known}).ok());
  EXPECT_NE(ReachesPort(node_, kept.host, "127.0.0.1", 12000, 80), "");
  EXPECT_THAT(Tables(), Not(HasSubstr("12001")));
  Pod next;
  EXPECT_EQ(Attach(next, 12000).status().code(),
            absl::StatusCode::kAlreadyExists);
}

// The node's own services on loopback stay its own (CVE-2020-8558).
TEST_P(HostPortsTest, OpenNoWayToTheNodesLoopback) {
  ASSERT_TRUE(Start().ok());
  Pod pod, attacker;
  ASSERT_TRUE(Attach(pod, 12000).ok());
  ASSERT_TRUE(network_->Attach(attacker.Request()).ok());
  attacker.host.Shell(
      "ip link set lo down && ip route flush table local && "
      "ip route add local 10.7.1.3 dev eth0 table local && "
      "ip route add 127.0.0.0/8 via 10.7.1.1 dev eth0 src 10.7.1.3 && "
      "sysctl -qw net.ipv4.conf.all.route_localnet=1");
  EXPECT_EQ(ReachesPort(attacker.host, node_, "127.0.0.1", 81, 81, kInVain),
            "");
  // An ipvlan's own way does not lead to the host link.
  if (GetParam() == Options::Mode::kIpvlan) return;
  // The rule is what keeps it out.
  node_.Shell("nft flush chain ip " + Table() + " guard");
  EXPECT_NE(ReachesPort(attacker.host, node_, "127.0.0.1", 81, 81), "");
}

// As long as it lives nobody else may change the table, be it root.
class TableOfAnother {
 public:
  TableOfAnother(TestHost& host, const std::string& name) {
    host.Run([this] { socket_ = os::NetlinkSocket::OpenNetfilter(); });
    EXPECT_TRUE(socket_.ok()) << socket_.status();
    os::NetlinkBatch batch;
    nft::BeginTransaction(batch);
    nft::DeleteTable(batch, ipam::Family::kIpv4, name);
    nfgenmsg header = {};
    header.nfgen_family = NFPROTO_IPV4;
    header.version = NFNETLINK_V0;
    batch.Begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_CREATE,
                header, "take the table");
    batch.AddString(NFTA_TABLE_NAME, name);
    nft::AddNumber(batch, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
    nft::EndTransaction(batch);
    const absl::Status taken = socket_->Transact(batch, 1);
    EXPECT_TRUE(taken.ok()) << taken;
  }

 private:
  absl::StatusOr<os::NetlinkSocket> socket_;
};

TEST_P(HostPortsTest, AFailedAttachLeavesWhatThereWasBefore) {
  ASSERT_TRUE(Start().ok());
  Pod one, two;
  {
    const TableOfAnother taken(node_, Table());
    EXPECT_FALSE(Attach(one, 12000).ok());
    EXPECT_THAT(one.host.Shell("ip link"), Not(HasSubstr("eth0")));
    EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
  }
  ASSERT_TRUE(Attach(one, 12000).ok());
  {
    const TableOfAnother taken(node_, Table());
    EXPECT_FALSE(Attach(one, 12000).ok());
  }
  EXPECT_TRUE(absl::IsAlreadyExists(Attach(two, 12000).status()));
  // All rules are written then.
  ASSERT_TRUE(Attach(two, 12001).ok());
  EXPECT_NE(ReachesPort(node_, one.host, "127.0.0.1", 12000, 80), "");
}

TEST_P(HostPortsTest, NeedTheHostLink) {
  options_.host_link = false;
  if (GetParam() == Options::Mode::kBridge) {
    EXPECT_TRUE(absl::IsInvalidArgument(Start()));
    return;
  }
  ASSERT_TRUE(Start().ok());
  Pod pod;
  EXPECT_EQ(Attach(pod, 12000).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// A UDP socket on a host; sends and receives single bytes.
class UdpSocket {
 public:
  UdpSocket(TestHost& host, const std::string& address, uint16_t port)
      : host_(host) {
    host_.Run([&] {
      fd_.Reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const sockaddr_in any = At(address, port);
      ok_ = bind(fd_.get(), reinterpret_cast<const sockaddr*>(&any),
                 sizeof(any)) == 0;
    });
  }
  bool ok() const { return ok_; }

  void Send(const std::string& address, uint16_t port) {
    const sockaddr_in to = At(address, port);
    EXPECT_EQ(sendto(fd_.get(), "x", 1, 0,
                     reinterpret_cast<const sockaddr*>(&to), sizeof(to)),
              1);
  }
  bool Receives(int milliseconds) {
    pollfd ready = {fd_.get(), POLLIN, 0};
    char byte = 0;
    return poll(&ready, 1, milliseconds) == 1 &&
           recv(fd_.get(), &byte, 1, 0) == 1;
  }

 private:
  static sockaddr_in At(const std::string& address, uint16_t port) {
    sockaddr_in result = {};
    result.sin_family = AF_INET;
    result.sin_port = htons(port);
    inet_pton(AF_INET, address.c_str(), &result.sin_addr);
    return result;
  }

  TestHost& host_;
  os::UniqueFd fd_;
  bool ok_ = false;
};

// A UDP packet under a source of one's own choice (raw(7)).
void SendFrom(TestHost& host, const std::string& source,
              const std::string& destination, uint16_t port) {
  struct {
    iphdr ip = {};
    udphdr udp = {};
    char byte = 'x';
  } __attribute__((packed)) packet;
  packet.ip.version = 4;
  packet.ip.ihl = 5;
  packet.ip.ttl = 64;
  packet.ip.protocol = IPPROTO_UDP;
  inet_pton(AF_INET, source.c_str(), &packet.ip.saddr);
  inet_pton(AF_INET, destination.c_str(), &packet.ip.daddr);
  packet.udp.dest = htons(port);
  packet.udp.len = htons(sizeof(packet) - sizeof(iphdr));
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = packet.ip.daddr;
  host.Run([&] {
    const os::UniqueFd raw(
        socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    EXPECT_EQ(sendto(raw.get(), &packet, sizeof(packet), 0,
                     reinterpret_cast<const sockaddr*>(&to), sizeof(to)),
              static_cast<ssize_t>(sizeof(packet)));
  });
}

TEST_P(HostPortsTest, LetNoPodPassForTheNodeItself) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(Attach(pod, 12000).ok());
  node_.Shell("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf." +
              NodeLinkName(options_) + ".rp_filter=0");
  if (GetParam() == Options::Mode::kBridge) {
    // There it is the second that would keep it out.
    node_.Shell("nft delete table bridge " + NodeLinkName(options_));
  }
  UdpSocket service(node_, "0.0.0.0", 81);
  ASSERT_TRUE(service.ok());
  SendFrom(pod.host, "127.0.0.2", "10.7.1.1", 81);
  // Comes later and shows that the first was passed over.
  SendFrom(pod.host, "10.7.1.2", "10.7.1.1", 81);
  EXPECT_TRUE(service.Receives(kLimitMs));
  EXPECT_FALSE(service.Receives(0));
  // The rule is what keeps it out.
  node_.Shell("nft flush chain ip " + Table() + " guard");
  SendFrom(pod.host, "127.0.0.2", "10.7.1.1", 81);
  EXPECT_TRUE(service.Receives(kLimitMs));
}

// One client's socket, from before the first pod to the second one: each
// packet is led to who has the port now.
TEST_P(HostPortsTest, UdpFlowsFollowThePort) {
  ASSERT_TRUE(Start().ok());
  // Connection tracking begins with the first rule that needs it.
  Pod tracked;
  ASSERT_TRUE(Attach(tracked, 13000).ok());
  UdpSocket client(neighbour_, "192.0.2.9", 5000);
  ASSERT_TRUE(client.ok());
  UdpSocket early(node_, "0.0.0.0", 12000);
  ASSERT_TRUE(early.ok());
  client.Send("192.0.2.1", 12000);
  ASSERT_TRUE(early.Receives(kLimitMs)) << "nobody has the port yet";
  for (int round = 0; round < 2; ++round) {
    Pod pod;
    AttachRequest request = pod.Request();
    request.host_ports.push_back({HostPort::Protocol::kUdp, 12000, 80, ""});
    ASSERT_TRUE(network_->Attach(request).ok());
    UdpSocket server(pod.host, "0.0.0.0", 80);
    ASSERT_TRUE(server.ok());
    client.Send("192.0.2.1", 12000);
    EXPECT_TRUE(server.Receives(kLimitMs)) << "pod " << round;
    ASSERT_TRUE(network_->Detach(pod.id).ok());
    client.Send("192.0.2.1", 12000);
    EXPECT_TRUE(early.Receives(kLimitMs)) << "after pod " << round;
    EXPECT_FALSE(server.Receives(0));
  }
}

TEST_P(HostPortsTest, UdpFlowsEndAlsoWhenTheRulesCouldNotBeTakenAway) {
  ASSERT_TRUE(Start().ok());
  Pod pod, tracked;
  ASSERT_TRUE(Attach(tracked, 13000).ok());
  AttachRequest request = pod.Request();
  request.host_ports.push_back({HostPort::Protocol::kUdp, 12000, 80, ""});
  ASSERT_TRUE(network_->Attach(request).ok());
  UdpSocket client(neighbour_, "192.0.2.9", 5000);
  UdpSocket server(pod.host, "0.0.0.0", 80);
  UdpSocket after(node_, "0.0.0.0", 12000);
  ASSERT_TRUE(client.ok() && server.ok() && after.ok());
  client.Send("192.0.2.1", 12000);
  ASSERT_TRUE(server.Receives(kLimitMs));
  {
    const TableOfAnother taken(node_, Table());
    EXPECT_FALSE(network_->Detach(pod.id).ok());
  }
  ASSERT_TRUE(network_->Detach(pod.id).ok());
  client.Send("192.0.2.1", 12000);
  EXPECT_TRUE(after.Receives(kLimitMs));
  EXPECT_FALSE(server.Receives(0));
}

TEST_P(HostPortsTest, AThousandFitIntoOneTransaction) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  AttachRequest request = pod.Request();
  for (uint16_t port = 20000; port < 21000; ++port) {
    request.host_ports.push_back({HostPort::Protocol::kUdp, port, port, ""});
  }
  request.host_ports.push_back({HostPort::Protocol::kTcp, 20000, 80, ""});
  const auto addresses = network_->Attach(request);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_NE(ReachesPort(node_, pod.host, "127.0.0.1", 20000, 80), "");
  EXPECT_TRUE(network_->Detach(pod.id).ok());
}

}  // namespace
}  // namespace pinion::network
