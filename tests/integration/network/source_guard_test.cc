// What a pod on the bridge, where it has CAP_NET_RAW, cannot do to others.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <vector>

#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing_support::AddAddress;

constexpr std::chrono::seconds kInVain(1);

class SourceGuardTest : public NetworkTest {
 protected:
  SourceGuardTest() {
    options_.mode = Options::Mode::kBridge;
    options_.range = "10.7.1.0/24,fd00:7::/64";
    node_.Shell(
        "ip link set lo up && "
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    EXPECT_TRUE(Start().ok());
    EXPECT_TRUE(network_->Attach(attacker_.Request()).ok());
    EXPECT_TRUE(network_->Attach(victim_.Request()).ok());
  }

  void TakeRulesAway() {
    node_.Shell("nft flush chain bridge pinion0 prerouting");
  }
  std::string Rules() { return node_.Shell("nft list ruleset bridge"); }
  // What the sets have, a line each.
  std::string Allowed() {
    return node_.Shell(
        "nft list table bridge pinion0 | tr '{,' '\\n\\n' | tr -d ' \\t}' | "
        "grep '^\"' | sort");
  }

  Pod attacker_, victim_;  // .2 and .3
};

template <size_t kSize>
void SendRaw(TestHost& host, const std::array<uint8_t, kSize>& frame) {
  host.Run([&frame] {
    const os::UniqueFd packet(
        socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(if_nametoindex("eth0"));
    EXPECT_EQ(sendto(packet.get(), frame.data(), frame.size(), 0,
                     reinterpret_cast<const sockaddr*>(&to), sizeof(to)),
              static_cast<ssize_t>(frame.size()));
  });
}

// A frame with nothing in it, from a pod to everybody.
void SendFrame(TestHost& host, const MacAddress& source) {
  std::array<uint8_t, ETH_ZLEN> frame{};
  std::fill_n(frame.begin(), ETH_ALEN, uint8_t{0xff});
  std::copy(source.begin(), source.end(), frame.begin() + ETH_ALEN);
  // For experiments (IEEE 802); br_netfilter looks at IP's.
  frame[12] = 0x88;
  frame[13] = 0xb5;
  SendRaw(host, frame);
}

TEST_F(SourceGuardTest, AnothersMacTakesNoTraffic) {
  ASSERT_TRUE(Reaches(node_, victim_.host, "10.7.1.3"));
  // The bridge itself keeps to what it was told.
  TakeRulesAway();
  SendFrame(attacker_.host, {0x6e, 0x70, 10, 7, 1, 3});
  EXPECT_TRUE(Reaches(node_, victim_.host, "10.7.1.3"));
  EXPECT_THAT(node_.Shell("bridge -d link show dev pn-6e700a070102"),
              testing::AllOf(HasSubstr("learning off"), HasSubstr("flood off"),
                             HasSubstr("mcast_flood on")));
  // As without that it would not.
  node_.Shell(
      "bridge link set dev pn-6e700a070102 learning on && "
      "bridge fdb replace 6e:70:0a:07:01:03 dev pn-6e700a070103 master "
      "dynamic");
  SendFrame(attacker_.host, {0x6e, 0x70, 10, 7, 1, 3});
  EXPECT_FALSE(Reaches(node_, victim_.host, "10.7.1.3", kInVain));
}

TEST_F(SourceGuardTest, AddressesThatAPodTakesForItselfAreOfNoUse) {
  AddAddress(attacker_.host, "eth0", "10.7.1.77/24");
  AddAddress(attacker_.host, "eth0", "fd00:7::77/64");
  for (const char* const address : {"10.7.1.77", "fd00:7::77"}) {
    EXPECT_FALSE(Reaches(victim_.host, attacker_.host, address, kInVain));
    // Not even an answer to who has it.
    EXPECT_THAT(victim_.host.Shell(std::string("ip neigh show ") + address),
                Not(HasSubstr("lladdr")));
    // Nor is it of use towards those who know the way.
    victim_.host.Shell(std::string("ip neigh replace ") + address +
                       " lladdr 6e:70:0a:07:01:02 dev eth0 nud permanent");
    EXPECT_FALSE(Reaches(victim_.host, attacker_.host, address, kInVain));
    victim_.host.Shell(std::string("ip neigh del ") + address + " dev eth0");
  }
  EXPECT_TRUE(Reaches(victim_.host, attacker_.host, "10.7.1.2"));
  EXPECT_TRUE(Reaches(victim_.host, attacker_.host, "fd00:7::2"));
  EXPECT_THAT(Rules(), Not(HasSubstr("counter packets 0 bytes 0 drop\n\t}")));
  // The rules are what makes them useless.
  TakeRulesAway();
  EXPECT_TRUE(Reaches(victim_.host, attacker_.host, "10.7.1.77"));
  EXPECT_TRUE(Reaches(victim_.host, attacker_.host, "fd00:7::77"));
}

TEST_F(SourceGuardTest, NoPodIsARouter) {
  const auto routes = [this] {
    return victim_.host.Shell("ip -6 route show proto ra");
  };
  // As if the pod wanted one.
  victim_.host.Shell("echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra");
  AdvertiseRouter(attacker_.host, "eth0");
  // Comes later and shows that the first was passed over.
  EXPECT_TRUE(Reaches(attacker_.host, victim_.host, "fd00:7::3"));
  EXPECT_EQ(routes(), "");
  TakeRulesAway();
  AdvertiseRouter(attacker_.host, "eth0");
  EXPECT_TRUE(Eventually([&] { return routes() != ""; }));
}

TEST_F(SourceGuardTest, NoPodIsTheNodesRouter) {
  const auto routes = [this] {
    return node_.Shell("ip -6 route show proto ra");
  };
  // As if the node took them although it forwards.
  node_.Shell("echo 2 >/proc/sys/net/ipv6/conf/pinion0/accept_ra");
  AdvertiseRouter(attacker_.host, "eth0");
  // Comes later and shows that the first was passed over.
  EXPECT_TRUE(Reaches(attacker_.host, node_, "fd00:7::1"));
  EXPECT_EQ(routes(), "");
  // Whoever sees the rules go sets both right again.
  EXPECT_TRUE(Eventually([&] {
    TakeRulesAway();
    node_.Shell("echo 2 >/proc/sys/net/ipv6/conf/pinion0/accept_ra");
    AdvertiseRouter(attacker_.host, "eth0");
    return routes() != "";
  }));
}

// Hears what comes to a pod.
class Ear {
 public:
  explicit Ear(TestHost& host) {
    host.Run([this] {
      fd_.Reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    });
  }

  // Whether a frame from the attacker with the mark `wanted` came before one
  // with `fence`.
  bool Hears(char wanted, char fence) {
    bool heard = false;
    for (;;) {
      pollfd ready{fd_.get(), POLLIN, 0};
      EXPECT_EQ(poll(&ready, 1, 60'000), 1) << "not even the fence";
      if (testing::Test::HasFailure()) return heard;
      std::array<char, ETH_FRAME_LEN> frame{};
      const ssize_t n = recv(fd_.get(), frame.data(), frame.size(), 0);
      if (n < ETH_ZLEN || frame[ETH_ALEN + 5] != 2) continue;
      // Behind the headers; the kernel has taken a VLAN's tag out.
      const char mark = frame[ETH_HLEN + 20];
      if (mark == fence) return heard;
      heard |= mark == wanted;
    }
  }

 private:
  os::UniqueFd fd_;
};

// The attacker's, to everybody, from its own address; in VLAN 7 if `tagged`.
void SendMarked(TestHost& host, bool tagged, char mark) {
  std::vector<uint8_t> bytes = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                0x6e, 0x70, 10,   7,    1,    2};
  if (tagged) bytes.insert(bytes.end(), {0x81, 0, 0, 7});
  bytes.insert(bytes.end(), {8,    0,                             //
                             0x45, 0,   0,    46,   0,  0, 0, 0,  // IPv4
                             64,   253, 0x62, 0xc5,               //
                             10,   7,   1,    2,    10, 7, 1, 255});
  bytes.push_back(static_cast<uint8_t>(mark));
  std::array<uint8_t, ETH_ZLEN + 4> frame{};
  std::copy(bytes.begin(), bytes.end(), frame.begin());
  SendRaw(host, frame);
}

TEST_F(SourceGuardTest, NothingLeavesAPodInAVlan) {
  Ear ear(victim_.host);
  SendMarked(attacker_.host, true, 'v');
  SendMarked(attacker_.host, false, 'f');
  EXPECT_FALSE(ear.Hears('v', 'f'));
  TakeRulesAway();
  SendMarked(attacker_.host, true, 'w');
  SendMarked(attacker_.host, false, 'g');
  EXPECT_TRUE(ear.Hears('w', 'g'));
}

TEST_F(SourceGuardTest, APodWithoutIpv6SpeaksNone) {
  options_.range = "10.7.1.0/24";
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  ASSERT_THAT(Allowed(), HasSubstr("\"pn-6e700a070104\".6e:70:0a:07:01:04."
                                   "10.7.1.4"));
  EXPECT_THAT(Allowed(),
              Not(HasSubstr("\"pn-6e700a070104\".6e:70:0a:07:01:04.f")));
  AddAddress(pod.host, "eth0", "fd00:7::4/64");
  EXPECT_FALSE(Reaches(pod.host, victim_.host, "fd00:7::3", kInVain));
  EXPECT_TRUE(Reaches(pod.host, victim_.host, "10.7.1.3"));
  TakeRulesAway();
  EXPECT_TRUE(Reaches(pod.host, victim_.host, "fd00:7::3"));
}

// A UDP datagram to the node's 10.7.1.1:9999, from 10.7.1.77, to the group
// 01:80:c2:00:00:0X that is a switch's.
void SendToSwitch(TestHost& host, uint8_t group) {
  SendRaw(host, std::array<uint8_t, 43>{0x01, 0x80, 0xc2, 0,    0, group, 0x6e,
                                        0x70, 10,   7,    1,    2,  // Ethernet
                                        8,    0,                    //
                                        0x45, 0,    0,    29,       // IPv4
                                        0,    0,    0,    0,        //
                                        64,   17,   0x64, 0x75,     //
                                        10,   7,    1,    77,       //
                                        10,   7,    1,    1,        //
                                        0x27, 0x0f, 0x27, 0x0f, 0, 9,     0,
                                        0,    'x'});  // UDP
}

TEST_F(SourceGuardTest, FramesForSwitchesDoNotPassItBy) {
  os::UniqueFd received;
  node_.Run([&received] {
    received.Reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_port = htons(9999);
    EXPECT_EQ(bind(received.get(), reinterpret_cast<const sockaddr*>(&here),
                   sizeof(here)),
              0);
  });
  // Who sent the next one; empty after a minute.
  const auto sender = [&received] {
    pollfd ready{received.get(), POLLIN, 0};
    if (poll(&ready, 1, 60'000) != 1) return std::string();
    sockaddr_in from{};
    socklen_t length = sizeof(from);
    char byte;
    char name[INET_ADDRSTRLEN] = "";
    if (recvfrom(received.get(), &byte, 1, 0,
                 reinterpret_cast<sockaddr*>(&from), &length) == 1) {
      inet_ntop(AF_INET, &from.sin_addr, name, sizeof(name));
    }
    return std::string(name);
  };
  for (uint8_t group = 0; group < 16; ++group) {
    SendToSwitch(attacker_.host, group);
  }
  // Comes later and shows that they do not.
  attacker_.host.Shell("bash -c 'echo -n x >/dev/udp/10.7.1.1/9999'");
  EXPECT_EQ(sender(), "10.7.1.2");
  // The port's option is what makes it so: the rules still stand.
  node_.Shell("ip link set pn-6e700a070102 type bridge_slave group_fwd_mask 0");
  SendToSwitch(attacker_.host, 0x0e);
  EXPECT_EQ(sender(), "10.7.1.77");
}

TEST_F(SourceGuardTest, KeepsThePodsThatThereAre) {
  EXPECT_THAT(Rules(), HasSubstr("pn-6e700a070102"));
  ASSERT_TRUE(network_->Detach(attacker_.id).ok());
  EXPECT_THAT(Rules(), Not(HasSubstr("pn-6e700a070102")));
  EXPECT_THAT(Rules(), HasSubstr("pn-6e700a070103"));
  // A pod that ended while no daemon ran.
  network_.reset();
  EXPECT_THAT(Rules(), HasSubstr("pn-6e700a070103"));
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(Rules(), HasSubstr("pn-6e700a070103"));
  ASSERT_TRUE(network_->Reconcile({}).ok());
  EXPECT_THAT(Rules(), Not(HasSubstr("pn-6e700a070103")));
}

TEST_F(SourceGuardTest, AnAttachInVainSetsNoPodFree) {
  const std::string before = Allowed();
  ASSERT_THAT(before, HasSubstr("pn-6e700a070102"));
  // Its interface is not what an earlier Attach has made.
  attacker_.host.Shell("ip link set eth0 address 6e:70:0a:07:01:77");
  ASSERT_TRUE(
      absl::IsAlreadyExists(network_->Attach(attacker_.Request()).status()));
  EXPECT_EQ(Allowed(), before);
  // Of a pod that never was there is nothing.
  Pod pod;
  pod.host.Shell("ip link add eth0 type veth peer name other");
  ASSERT_TRUE(absl::IsAlreadyExists(network_->Attach(pod.Request()).status()));
  EXPECT_EQ(Allowed(), before);
}

TEST_F(SourceGuardTest, IsWholeForAPodThatComesRightAfterAFlush) {
  ASSERT_TRUE(network_
                  ->Reconcile({{attacker_.id, {"10.7.1.2", "fd00:7::2"}},
                               {victim_.id, {"10.7.1.3", "fd00:7::3"}}})
                  .ok());
  node_.Shell("nft flush ruleset");
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_THAT(Rules(), testing::AllOf(HasSubstr("pn-6e700a070102"),
                                      HasSubstr("pn-6e700a070103"),
                                      HasSubstr("pn-6e700a070104")));
  EXPECT_TRUE(Reaches(pod.host, victim_.host, "fd00:7::3"));
}

TEST_F(SourceGuardTest, CountsOnWhenItIsWrittenAnew) {
  constexpr int kFrames = 20;  // and some of the pods' own, perhaps
  const std::vector<KnownPod> pods = {{attacker_.id, {"10.7.1.2", "fd00:7::2"}},
                                      {victim_.id, {"10.7.1.3", "fd00:7::3"}}};
  ASSERT_TRUE(network_->Reconcile(pods).ok());
  const auto dropped = [this] {
    return std::stoi(node_.Shell(
        "nft list chain bridge pinion0 prerouting | "
        "sed -n 's/.*counter packets \\([0-9]*\\) .* drop$/\\1/p' | "
        "tail -1"));
  };
  const auto handle = [this] {
    return node_.Shell("nft -a list table bridge pinion0 | head -1");
  };
  for (int i = 0; i < kFrames; ++i) {
    SendFrame(attacker_.host, {0x6e, 0x70, 10, 7, 1, 3});
  }
  ASSERT_TRUE(Eventually([&] { return dropped() >= kFrames; })) << Rules();
  const std::string first = handle();
  node_.Shell("ip -4 address flush dev pinion0");
  EXPECT_TRUE(Eventually([&] { return handle() != first; })) << first;
  EXPECT_GE(dropped(), kFrames);
  // By the next daemon, too.
  const std::string second = handle();
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile(pods).ok());
  EXPECT_NE(handle(), second);
  EXPECT_GE(dropped(), kFrames);
  SendFrame(attacker_.host, {0x6e, 0x70, 10, 7, 1, 3});
  EXPECT_TRUE(Eventually([&] { return dropped() > kFrames; }));
}

TEST_F(SourceGuardTest, LeavesOtherPortsOfTheBridgeAlone) {
  TestHost guest;
  testing_support::Connect(node_, guest, "pn-guest");
  node_.Shell("ip link set pn-guest master pinion0");
  AddAddress(guest, "pn-guest", "10.7.1.200/24");
  EXPECT_TRUE(Reaches(victim_.host, guest, "10.7.1.200"));
}

}  // namespace
}  // namespace pinion::network
