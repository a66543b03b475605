// Networks on a NIC of the node's, here one end of a cable to a third host.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <optional>
#include <set>
#include <vector>

#include "network/mac.h"
#include "network/neighbour_frames.h"
#include "network/parent.h"
#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;

using std::chrono::milliseconds;

// For what comes sooner, if it comes at all.
constexpr milliseconds kLimit(30'000);

// A raw socket on the third host's NIC: what is on the wire.
class Wire {
 public:
  Wire(TestHost& host, const std::string& device) {
    host.Run([&] {
      fd_.Reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
      sockaddr_ll address{};
      address.sll_family = AF_PACKET;
      address.sll_protocol = htons(ETH_P_ALL);
      address.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
      ok_ = bind(fd_.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)) == 0;
    });
  }
  bool ok() const { return ok_; }

  void Send(const std::string& frame) {
    EXPECT_EQ(send(fd_.get(), frame.data(), frame.size(), 0),
              static_cast<ssize_t>(frame.size()));
  }

  // The incoming frames of this EtherType until `count` came or time is up.
  std::vector<std::string> Receive(uint16_t ether_type, size_t count,
                                   milliseconds limit) {
    std::vector<std::string> frames;
    const auto end = std::chrono::steady_clock::now() + limit;
    while (frames.size() < count) {
      const auto left = std::chrono::ceil<milliseconds>(
          end - std::chrono::steady_clock::now());
      pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      if (left.count() <= 0 ||
          poll(&ready, 1, static_cast<int>(left.count())) <= 0) {
        break;
      }
      char buffer[2048];
      sockaddr_ll from{};
      socklen_t length = sizeof(from);
      const ssize_t got = recvfrom(fd_.get(), buffer, sizeof(buffer), 0,
                                   reinterpret_cast<sockaddr*>(&from), &length);
      if (got < ETH_HLEN || from.sll_pkttype == PACKET_OUTGOING ||
          from.sll_protocol != htons(ether_type)) {
        continue;
      }
      frames.emplace_back(buffer, static_cast<size_t>(got));
    }
    return frames;
  }

 private:
  os::UniqueFd fd_;
  bool ok_ = false;
};

std::string AddressBytes(const std::string& ip) {
  const auto bytes = ipam::IpAddress::Parse(ip)->Bytes();
  return {reinterpret_cast<const char*>(bytes.data()), 4};
}

// "Who has `target`? Tell `sender`."
std::string ArpRequest(const std::string& sender, const std::string& target) {
  const MacAddress mac = {0x02, 0, 0, 0, 0, 0x99};
  std::string frame = AnnouncementFrame(*ipam::IpAddress::Parse(sender), mac);
  frame.replace(38, 4, AddressBytes(target));
  return frame;
}

class NamedParentTest : public NetworkTest {
 protected:
  NamedParentTest() {
    Connect(node_, third_, "lan0");
    node_.Shell("ip address add 10.9.0.1/16 dev lan0");
    third_.Shell("ip address add 10.9.0.2/16 dev lan0");
    options_.parent = "lan0";
    options_.range = "10.9.7.0/24";
  }

  // Distinct senders of answers to an ARP request by the third host, until
  // `later`, a pod's, is answered for: macvlans get broadcasts one by one, and
  // after the NIC.
  size_t ArpAnswers(const std::string& target, const std::string& later) {
    Wire wire(third_, "lan0");
    EXPECT_TRUE(wire.ok());
    wire.Send(ArpRequest("10.9.0.2", target));
    std::set<std::string> senders;
    for (;;) {
      const auto frames = wire.Receive(ETH_P_ARP, 1, kLimit);
      if (frames.empty()) {
        ADD_FAILURE() << "nobody answers for " << target << " or " << later;
        return 0;
      }
      const std::string& frame = frames.front();
      if (frame[21] != 2) continue;
      if (frame.substr(28, 4) == AddressBytes(later)) return senders.size();
      if (frame.substr(28, 4) == AddressBytes(target)) {
        // Not before: on another CPU it might overtake the first.
        if (senders.empty()) wire.Send(ArpRequest("10.9.0.2", later));
        senders.insert(frame.substr(22, 6));
      }
    }
  }

  TestHost third_;
};

TEST_F(NamedParentTest, NodePodsAndNeighboursReachEachOther) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "10.9.7.1");
  EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
  EXPECT_TRUE(Reaches(pod.host, node_, "10.9.0.1"));
  EXPECT_TRUE(Reaches(third_, pod.host, addresses->ip));
  EXPECT_TRUE(Reaches(pod.host, third_, "10.9.0.2"));
  EXPECT_TRUE(Reaches(third_, node_, "10.9.0.1"));
  EXPECT_THAT(pod.host.Shell("ip address show eth0"), HasSubstr("10.9.7.1/16"));
}

TEST_F(NamedParentTest, PodsHeedNoRouterOfTheLan) {
  // The node's own addresses are not what this is about.
  node_.Shell("echo 0 >/proc/sys/net/ipv6/conf/lan0/accept_ra");
  for (const char* range : {"10.9.7.0/24", "10.9.8.0/24,fd00:9::/64"}) {
    options_.range = range;
    ASSERT_TRUE(Start().ok());
    ASSERT_FALSE(network_->HeedsRouters(""));
    Pod pod;
    // As the runtime makes it then.
    pod.host.Shell("echo 0 >/proc/sys/net/ipv6/conf/default/accept_ra");
    const auto addresses = network_->Attach(pod.Request());
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    const auto learned = [&pod] {
      return pod.host.Shell(
          "ip -6 address show dynamic dev eth0; ip -6 route show proto ra");
    };
    AdvertiseRouter(third_, "lan0");
    // Comes later and shows that it was passed over.
    EXPECT_TRUE(Reaches(third_, pod.host, addresses->ip));
    EXPECT_EQ(learned(), "");
    // Otherwise it would have been heeded.
    pod.host.Shell("echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra");
    AdvertiseRouter(third_, "lan0");
    EXPECT_TRUE(Eventually([&] {
      return learned().find("2001:db8:1") != std::string::npos;
    })) << learned();
  }
}

TEST_F(NamedParentTest, ARangeThatIsTheParentsSubnetLeavesTheNodeItsLan) {
  testing_support::AddAddress(node_, "lan0", "fd00:9::1/64");
  testing_support::AddAddress(third_, "lan0", "fd00:9::2/64");
  options_.range = "10.9.0.0/16,fd00:9::/64";
  options_.exclude = {"10.9.0.0/24", "fd00:9::-fd00:9::f"};
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  for (const std::string& ip : {addresses->ip, addresses->additional_ips[0]}) {
    EXPECT_TRUE(Reaches(node_, pod.host, ip)) << ip;
    EXPECT_TRUE(Reaches(third_, pod.host, ip)) << ip;
  }
  const auto lan = [this] {
    return node_.Shell("ip route show 10.9.0.0/16 proto kernel") +
           node_.Shell("ip -6 route show fd00:9::/64 proto kernel");
  };
  EXPECT_THAT(lan(), HasSubstr("10.9.0.0/16 dev lan0"));
  EXPECT_THAT(lan(), HasSubstr("fd00:9::/64 dev lan0"));
  EXPECT_TRUE(Reaches(node_, third_, "10.9.0.2"));
  EXPECT_TRUE(Reaches(node_, third_, "fd00:9::2"));
  // Narrower, later; then without pinion.
  options_.range = "10.9.7.0/24";
  options_.exclude = {};
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(node_.Shell("ip route show dev pinion-host proto 112"),
            "10.9.7.0/24 scope link src 10.9.0.1 \n");
  EXPECT_TRUE(Reaches(node_, third_, "10.9.0.2"));
  network_.reset();
  node_.Shell("ip link delete pinion-host");
  EXPECT_TRUE(Reaches(node_, third_, "10.9.0.2"));
  EXPECT_TRUE(Reaches(node_, third_, "fd00:9::2"));
}

TEST_F(NamedParentTest, AStaticRouteForTheRangeIsLeftAlone) {
  node_.Shell("ip route add 10.9.7.0/24 via 10.9.0.2");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
  EXPECT_THAT(node_.Shell("ip route show 10.9.7.0/24"),
              HasSubstr("via 10.9.0.2 dev lan0"));
}

TEST_F(NamedParentTest, ARangeWithAnotherNetworkOfTheNodesIsRefused) {
  Connect(node_, third_, "lan1");
  node_.Shell("ip address add 10.12.3.1/24 dev lan1");
  options_.range = "10.12.0.0/16";
  ASSERT_TRUE(Start().ok());
  const Readiness readiness = network_->GetReadiness();
  EXPECT_EQ(readiness.reason, "RangeUnusable");
  EXPECT_THAT(readiness.message,
              HasSubstr("10.12.0.0/16 has the network 10.12.3.0/24 of lan1"));
  EXPECT_THAT(node_.Shell("ip route"), Not(HasSubstr("proto 112")));
  // Of what makes it usable nothing tells.
  node_.Shell("ip link set lan1 down");
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }));
  node_.Shell("ip link set lan1 up");
  EXPECT_TRUE(Eventually(
      [&] { return network_->GetReadiness().reason == "RangeUnusable"; }));
  node_.Shell("ip link delete lan1");
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }));
}

TEST_F(NamedParentTest, RoutesAndAddressesThatGoComeBack) {
  // The node's address is then on the host link.
  node_.Shell("ip address flush dev lan0");
  options_.range = "10.9.7.0/24,fd00:9::/64";
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  for (const char* command :
       {"ip route flush dev pinion-host",
        "ip -6 route flush dev pinion-host proto 112",
        "ip address del 10.9.7.1/32 dev pinion-host",
        "ip -6 address del fd00:9::1/128 dev pinion-host"}) {
    node_.Shell(command);
    // Until then there may be no route at all, and `ip` fails.
    const auto route = [this](const std::string& get) {
      return node_.Shell(get + " 2>/dev/null || true");
    };
    EXPECT_TRUE(Eventually([&] {
      const std::string v4 = route("ip route get " + addresses->ip);
      const std::string v6 =
          route("ip -6 route get " + addresses->additional_ips[0]);
      return v4.find("dev pinion-host src 10.9.7.1 ") != std::string::npos &&
             v6.find("dev pinion-host proto 112") != std::string::npos &&
             v6.find("src fd00:9::1 ") != std::string::npos;
    })) << command;
    EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip)) << command;
    EXPECT_TRUE(Reaches(pod.host, node_, "10.9.7.1")) << command;
    EXPECT_TRUE(Reaches(node_, pod.host, addresses->additional_ips[0]))
        << command;
  }
}

TEST_F(NamedParentTest, TheNodesAddressHasOneArpAnswer) {
  ASSERT_TRUE(Start().ok());
  Pod pod, later;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  ASSERT_TRUE(network_->Attach(later.Request()).ok());
  EXPECT_EQ(ArpAnswers("10.9.0.1", "10.9.7.2"), 1u);
  EXPECT_EQ(ArpAnswers("10.9.7.1", "10.9.7.2"), 1u);
  // The test does see a second answer where there is one.
  node_.Run([] {
    FILE* const file =
        fopen("/proc/sys/net/ipv4/conf/pinion-host/arp_ignore", "we");
    ASSERT_NE(file, nullptr);
    fputs("0", file);
    fclose(file);
  });
  EXPECT_TRUE(
      Eventually([&] { return ArpAnswers("10.9.0.1", "10.9.7.2") == 2; }));
}

TEST_F(NamedParentTest, AnnouncesThePodThreeTimes) {
  ASSERT_TRUE(Start().ok());
  Wire wire(third_, "lan0");
  ASSERT_TRUE(wire.ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  const ipam::IpAddress address = *ipam::IpAddress::Parse("10.9.7.1");
  const std::string expected = AnnouncementFrame(address, MacFor(address));
  for (int i = 0; i < 3; ++i) {
    std::vector<std::string> frames;
    do {
      frames = wire.Receive(ETH_P_ARP, 1, kLimit);
      ASSERT_FALSE(frames.empty()) << "announcement " << i;
    } while (frames.front() != expected);
  }
}

TEST_F(NamedParentTest, UsesTheGatewayAndItsOwnAddressOutsideThePodsSubnet) {
  // Pods in a subnet of their own on the same wire.
  options_.range = "10.50.3.0/24";
  options_.subnet = "10.50.0.0/16";
  options_.gateway = "10.50.0.1";
  options_.service_cidr = "10.96.0.0/12";
  third_.Shell("ip address add 10.50.0.1/16 dev lan0");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "10.50.3.1");
  const std::string routes = pod.host.Shell("ip route");
  EXPECT_THAT(routes, HasSubstr("default via 10.50.0.1 dev eth0"));
  EXPECT_THAT(routes, HasSubstr("10.96.0.0/12 via 10.9.0.1 dev eth0"));
  EXPECT_THAT(routes, HasSubstr("10.9.0.1 dev eth0"));
  EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
  EXPECT_TRUE(Reaches(pod.host, node_, "10.9.0.1"));
  EXPECT_TRUE(Reaches(pod.host, third_, "10.50.0.1"));
}

TEST_F(NamedParentTest, AParentWithoutAddressLeavesTheNodesToTheHostLink) {
  node_.Shell("ip address flush dev lan0");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "10.9.7.2");
  EXPECT_TRUE(Reaches(node_, pod.host, "10.9.7.2"));
  EXPECT_TRUE(Reaches(pod.host, node_, "10.9.7.1"));
}

TEST_F(NamedParentTest, FollowsItsParent) {
  options_.parent = "late0";
  ASSERT_TRUE(Start().ok());
  const auto reason = [this] { return network_->GetReadiness().reason; };
  EXPECT_EQ(reason(), "ParentMissing");
  EXPECT_THAT(network_->GetReadiness().message, HasSubstr("late0"));
  Pod before;
  EXPECT_EQ(network_->Attach(before.Request()).status().code(),
            absl::StatusCode::kFailedPrecondition);

  node_.Shell("ip link add late0 type veth peer name late1");
  EXPECT_TRUE(Eventually([&] { return reason() == "ParentDown"; })) << reason();
  node_.Shell("ip link set late0 up && ip link set late1 up");
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }))
      << reason();
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_TRUE(Reaches(node_, pod.host, "10.9.7.2"));

  node_.Shell("ip link set late1 down");  // the cable is pulled
  EXPECT_TRUE(Eventually([&] { return reason() == "ParentDown"; })) << reason();
  node_.Shell("ip link set late1 up");
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }));
  EXPECT_TRUE(Reaches(node_, pod.host, "10.9.7.2"));

  node_.Shell("ip link delete late0");
  EXPECT_TRUE(Eventually([&] { return reason() == "ParentMissing"; }))
      << reason();
  ASSERT_TRUE(network_->Detach(pod.id).ok());
  node_.Shell(
      "ip link add late0 type veth peer name late1 && ip link set late0 up && "
      "ip link set late1 up");
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }))
      << reason();
  Pod after;
  const auto addresses = network_->Attach(after.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_TRUE(Reaches(node_, after.host, addresses->ip));
  // Every change was seen; the addresses were not lost on the way.
  EXPECT_EQ(Addresses("10.9.7.0/24", "in_use"), 1);
}

TEST_F(NamedParentTest, NeverTouchesTheParent) {
  // But for the link's own address, which settles some time after it is up.
  const std::string look = "ip -d -o address show lan0 scope global";
  const std::string before = node_.Shell(look);
  ASSERT_TRUE(Start().ok());
  network_.reset();
  absl::Status removed;
  node_.Run([&] { removed = RemoveNodeDevices(options_); });
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_EQ(node_.Shell(look), before);
  EXPECT_THAT(node_.Shell("ip -o link"),
              testing::Not(HasSubstr(options_.host_link_name)));
}

TEST_F(NamedParentTest, IpvlanIsReadyOrSaysThatTheKernelHasNone) {
  const bool has_ipvlan =
      third_.Shell("ip link add x link lan0 type ipvlan 2>&1; ip -br link")
          .find("x@") != std::string::npos;
  options_.mode = Options::Mode::kIpvlan;
  // Without their states, which settle a moment after the start, and without
  // neighbours that the kernel has learned.
  const std::string listing =
      "ip -br link | cut -d' ' -f1; ip route; ip neigh show nud permanent";
  const std::string before = node_.Shell(listing);
  ASSERT_TRUE(Start().ok());
  Pod pod;
  EXPECT_EQ(network_->Attach(pod.Request()).ok(), has_ipvlan);
  if (has_ipvlan) return;
  EXPECT_EQ(network_->GetReadiness().reason, "HostLinkFailed");
  EXPECT_THAT(network_->GetReadiness().message, HasSubstr("CONFIG_IPVLAN"));
  EXPECT_EQ(node_.Shell(listing), before);
  EXPECT_THAT(pod.host.Shell("ip -br link"), testing::Not(HasSubstr("eth0")));
  // The kernel has macvlan at least: nothing hinders the way back.
  options_.mode = Options::Mode::kMacvlan;
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(network_->Attach(pod.Request()).ok());
}

class PodCidrTest : public NetworkTest,
                    public testing::WithParamInterface<Options::Mode> {
 protected:
  PodCidrTest() {
    options_.mode = GetParam();
    node_.Shell(
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  }
};

INSTANTIATE_TEST_SUITE_P(Modes, PodCidrTest, testing::ValuesIn(kModesWithPools),
                         ModeName);

TEST_P(PodCidrTest, WaitsForItAndRemembersIt) {
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(network_->GetReadiness().reason, "NoPodCidr");
  EXPECT_TRUE(network_->SetPodCidr("").ok());
  EXPECT_EQ(network_->GetReadiness().reason, "NoPodCidr");
  ASSERT_TRUE(network_->SetPodCidr("10.8.1.0/24").ok());
  EXPECT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_TRUE(Reaches(node_, pod.host, "10.8.1.2"));
  // The kubelet tells it once, not after every restart of ours.
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(network_->GetReadiness().ready);
  ASSERT_TRUE(network_->Reconcile({{pod.id, {"10.8.1.2"}}}).ok());
  EXPECT_EQ(Addresses("10.8.1.0/24", "in_use"), 1);
}

TEST_P(PodCidrTest, WhatIsKnownOfPodsIsSettledWhenItComes) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->SetPodCidr("10.8.1.0/24").ok());
  Pod kept, lost;
  ASSERT_TRUE(network_->Attach(kept.Request()).ok());
  ASSERT_TRUE(network_->Attach(lost.Request()).ok());
  network_.reset();
  std::filesystem::remove(options_.ipam_dir + "/.pod-cidr");
  ASSERT_TRUE(Start().ok());
  ASSERT_EQ(network_->GetReadiness().reason, "NoPodCidr");
  // What cannot be read keeps nothing else from being claimed.
  const std::string id = NewId();
  (void)network_->Reconcile(
      {{id, {"damaged", "10.8.1.9"}}, {kept.id, {"10.8.1.2"}}});
  ASSERT_TRUE(network_->SetPodCidr("10.8.1.0/24").ok());
  EXPECT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  EXPECT_EQ(Addresses("10.8.1.0/24", "in_use"), 2) << "the lost one's is free";
  ASSERT_TRUE(network_->Detach(id).ok());
  ASSERT_TRUE(network_->Detach(kept.id).ok());
  EXPECT_EQ(Addresses("10.8.1.0/24", "in_use"), 0);
}

// Its pool has what pods had that went while another was in force.
TEST_P(PodCidrTest, AnEarlierOneMayComeBack) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->SetPodCidr("10.8.1.0/24").ok());
  Pod kept, gone;
  std::vector<KnownPod> known;
  for (Pod* pod : {&kept, &gone}) {
    const auto addresses = network_->Attach(pod->Request());
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    known.push_back({pod->id, {addresses->ip}});
  }
  network_.reset();
  std::filesystem::remove(options_.ipam_dir + "/.pod-cidr");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile(known).ok());
  ASSERT_TRUE(network_->SetPodCidr("10.8.2.0/24").ok());
  EXPECT_EQ(Addresses("10.8.2.0/24", "in_use"), 0);
  ASSERT_TRUE(network_->Detach(gone.id).ok());
  ASSERT_TRUE(network_->SetPodCidr("10.8.1.0/24").ok());
  EXPECT_EQ(Addresses("10.8.1.0/24", "in_use"), 1);
  ASSERT_TRUE(network_->Detach(kept.id).ok());
  EXPECT_EQ(Addresses("10.8.1.0/24", "in_use"), 0);
}

TEST_P(PodCidrTest, RefusesBadOnes) {
  ASSERT_TRUE(Start().ok());
  for (const char* bad :
       {"10.8.1.0", "10.8.1.1/24", "x", "10.8.1.0/24,10.8.2.0/24",
        "10.8.1.0/32", "10.8.1.0/24,", "224.0.0.0/24", "127.0.0.0/24",
        "0.0.0.0/8", "0.0.0.0/0", "169.254.1.0/24", "::ffff:10.0.0.0/120",
        "fe80::/64", "10.8.1.0/24,ff02::/64"}) {
    EXPECT_EQ(network_->SetPodCidr(bad).code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
  EXPECT_EQ(network_->GetReadiness().reason, "NoPodCidr");
  EXPECT_TRUE(network_->SetPodCidr("10.8.1.0/30,fd00:8::/64").ok());
  EXPECT_TRUE(network_->GetReadiness().ready);
}

TEST_P(PodCidrTest, DoesNotChangeWhileAddressesAreInUse) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->SetPodCidr("10.8.1.0/24").ok());
  Pod pod, next;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_TRUE(network_->SetPodCidr("10.8.1.0/24").ok());
  const absl::Status refused = network_->SetPodCidr("10.8.2.0/24");
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(refused.message(),
            "the pod CIDR cannot change from 10.8.1.0/24 to 10.8.2.0/24 while "
            "1 addresses are in use");
  ASSERT_TRUE(network_->Detach(pod.id).ok());
  ASSERT_TRUE(network_->SetPodCidr("10.8.2.0/24").ok());
  const auto addresses = network_->Attach(next.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "10.8.2.2");
  EXPECT_TRUE(Reaches(node_, next.host, "10.8.2.2"));
  // The former range's route and address are gone.
  EXPECT_THAT(node_.Shell("ip -o address; ip route"),
              testing::Not(HasSubstr("10.8.1.")));
  EXPECT_EQ(Addresses("10.8.1.0/24", "capacity"), 0);
}

TEST_P(PodCidrTest, AConfiguredRangeWins) {
  options_.range = "10.8.3.0/24";
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(network_->SetPodCidr("10.8.1.0/24").ok());
  EXPECT_FALSE(network_->SetPodCidr("10.8.1.0/33").ok());
  Pod pod;
  EXPECT_EQ(network_->Attach(pod.Request())->ip, "10.8.3.2");
}

TEST_P(PodCidrTest, ClaimsForKnownPodsWhenItComesLate) {
  ASSERT_TRUE(Start().ok());
  Pod pod, gone;
  ASSERT_TRUE(
      network_->Reconcile({{pod.id, {"10.8.1.2"}}, {gone.id, {"10.8.1.3"}}})
          .ok());
  ASSERT_TRUE(network_->Detach(gone.id).ok());
  ASSERT_TRUE(network_->SetPodCidr("10.8.1.0/24").ok());
  EXPECT_EQ(Addresses("10.8.1.0/24", "in_use"), 1);
  Pod next;
  EXPECT_EQ(network_->Attach(next.Request())->ip, "10.8.1.3");
}

}  // namespace
}  // namespace pinion::network
