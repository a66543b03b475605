// Networks on devices of pinion's own, the automatic parent or the bridge: what
// holds in every mode.

#include <dirent.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;
using testing::Not;

class OwnDevicesTest : public NetworkTest,
                       public testing::WithParamInterface<Options::Mode> {
 protected:
  OwnDevicesTest() {
    options_.mode = GetParam();
    options_.range = "10.7.1.0/24";
    // However slow the machine is, what cools down does so until the end.
    options_.cool_down = std::chrono::hours(1);
    node_.Shell(
        "sysctl -eqw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  }
};

INSTANTIATE_TEST_SUITE_P(Modes, OwnDevicesTest,
                         testing::ValuesIn(kModesWithPools), ModeName);

TEST_P(OwnDevicesTest, HostAndPodsReachEachOther) {
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  Pod one, two;
  const auto first = network_->Attach(one.Request());
  const auto second = network_->Attach(two.Request());
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(second.ok()) << second.status();
  // .0 is the network's, .1 the node's.
  EXPECT_EQ(first->ip, "10.7.1.2");
  // All of an ipvlan's have the parent's.
  const bool shared = GetParam() == Options::Mode::kIpvlan;
  EXPECT_EQ(shared ? second->mac : "6e:70:0a:07:01:02", first->mac);
  EXPECT_THAT(one.host.Shell("ip link show eth0"), HasSubstr(first->mac));
  EXPECT_EQ(first->interface_name, "eth0");
  EXPECT_TRUE(Reaches(node_, one.host, "10.7.1.2"));
  EXPECT_TRUE(Reaches(one.host, node_, "10.7.1.1"));
  EXPECT_TRUE(Reaches(one.host, two.host, second->ip));
  EXPECT_TRUE(Reaches(one.host, one.host, "127.0.0.1"));
}

// How often a device's token bucket made a packet wait; -1: it has none.
int Waited(TestHost& host, const std::string& device) {
  const std::string text =
      host.Shell("tc -s qdisc show dev " + device + " root");
  const size_t at = text.find("overlimits ");
  if (text.find("qdisc tbf 1: ") != 0 || at == std::string::npos) return -1;
  return std::stoi(text.substr(at + 11));
}

TEST_P(OwnDevicesTest, WhatPodsSendAndAreSentIsLimited) {
  const bool bridge = GetParam() == Options::Mode::kBridge;
  ASSERT_TRUE(Start().ok());
  Pod slow, free;
  auto request = slow.Request();
  request.egress_bits_per_second = 80'000;
  request.ingress_bits_per_second = 40'000'000'000;
  for (int i = 0; i < 2; ++i) {  // The second time it is there already.
    const auto addresses = network_->Attach(request);
    ASSERT_TRUE(addresses.ok()) << addresses.status();
  }
  ASSERT_TRUE(network_->Attach(free.Request()).ok());
  EXPECT_EQ(Waited(free.host, "eth0"), -1);
  EXPECT_EQ(Waited(slow.host, "eth0"), 0);
  EXPECT_THAT(slow.host.Shell("tc qdisc show dev eth0"),
              HasSubstr("rate 80Kbit burst 128Kb"));
  if (bridge) {
    // More than fits into 32 bits.
    EXPECT_THAT(node_.Shell("tc qdisc show dev pn-6e700a070102"),
                HasSubstr("rate 40Gbit"));
    EXPECT_EQ(Waited(node_, "pn-6e700a070103"), -1);
  }
  // More than the rate, on however slow a machine, until the burst is used up;
  // no more than a few seconds' worth is queued then.
  EXPECT_TRUE(Eventually([&] {
    slow.host.Shell("ping -q -f -c 30 -s 1400 -l 30 -W 1 10.7.1.1 || true");
    return Waited(slow.host, "eth0") > 0;
  }));
  EXPECT_TRUE(Reaches(slow.host, node_, "10.7.1.1"));
}

TEST_P(OwnDevicesTest, ReachesServicesThroughTheNode) {
  options_.service_cidr = "10.96.0.0/12";
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_THAT(pod.host.Shell("ip route get 10.97.1.1"),
              HasSubstr("via 10.7.1.1 dev eth0"));
  // As if kube-proxy answered there.
  node_.Shell("ip link set lo up && ip address add 10.96.0.1/32 dev lo");
  EXPECT_TRUE(Reaches(pod.host, node_, "10.96.0.1"));
}

TEST_P(OwnDevicesTest, AServiceBackedByAPodOfTheSameNodeAnswers) {
  options_.range = "10.7.1.0/24,fd00:7::/64";
  options_.service_cidr = "10.96.0.0/12,fd00:96::/112";
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  Pod client, backend;
  ASSERT_TRUE(network_->Attach(client.Request()).ok());
  ASSERT_TRUE(network_->Attach(backend.Request()).ok());
  // Where the bridge hands what it forwards to conntrack, answers come back
  // translated without any rule.
  node_.Shell(
      "! [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || "
      "sysctl -qw net.bridge.bridge-nf-call-iptables=0");
  // As kube-proxy would.
  node_.Shell(
      "nft 'table inet proxy { chain prerouting { type nat hook prerouting "
      "priority -100; ip daddr 10.96.0.10 dnat ip to 10.7.1.3; "
      "ip6 daddr fd00:96::10 dnat ip6 to fd00:7::3; }; }'");
  EXPECT_TRUE(Reaches(client.host, backend.host, "10.96.0.10"));
  EXPECT_TRUE(Reaches(client.host, backend.host, "fd00:96::10"));
  // The rule is what makes it work.
  const std::string table = NodeLinkName(options_);
  const std::string rules = node_.Shell("nft list table ip " + table);
  EXPECT_THAT(rules, HasSubstr("ct original ip daddr 10.96.0.0/12 ip saddr "
                               "10.7.1.0/24 "));
  EXPECT_THAT(rules, HasSubstr("snat to 10.7.1.1"));
  Pod other;
  ASSERT_TRUE(network_->Attach(other.Request()).ok());
  // It would write it again.
  network_.reset();
  node_.Shell("nft delete table ip " + table);
  EXPECT_FALSE(
      Reaches(other.host, backend.host, "10.96.0.10", std::chrono::seconds(1)));

  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(Reaches(other.host, backend.host, "10.96.0.10"));
  options_.service_cidr = "";
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(node_.Shell("nft list ruleset"), Not(HasSubstr("10.96.0.0/12")));
}

TEST_P(OwnDevicesTest, DualStack) {
  options_.range = "10.7.1.0/24,fd00:7::/64";
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  Pod one, two;
  const auto first = network_->Attach(one.Request());
  const auto second = network_->Attach(two.Request());
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(first->additional_ips, std::vector<std::string>{"fd00:7::2"});
  EXPECT_TRUE(Reaches(node_, one.host, "10.7.1.2"));
  EXPECT_TRUE(Reaches(node_, one.host, "fd00:7::2"));
  EXPECT_TRUE(Reaches(one.host, node_, "fd00:7::1"));
  EXPECT_TRUE(Reaches(one.host, two.host, "fd00:7::3"));
}

TEST_P(OwnDevicesTest, Ipv6Only) {
  options_.range = "fd00:7::/64";
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "fd00:7::2");
  EXPECT_TRUE(Reaches(node_, pod.host, "fd00:7::2"));
  EXPECT_TRUE(Reaches(pod.host, node_, "fd00:7::1"));
}

TEST_P(OwnDevicesTest, AttachAndDetachAreIdempotent) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto first = network_->Attach(pod.Request());
  const auto again = network_->Attach(pod.Request());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->ip, first->ip);
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 1);
  EXPECT_TRUE(Reaches(node_, pod.host, first->ip));
  EXPECT_TRUE(network_->Detach(pod.id).ok());
  EXPECT_TRUE(network_->Detach(pod.id).ok());
  EXPECT_TRUE(network_->Detach(NewId()).ok());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
  EXPECT_EQ(Addresses("10.7.1.0/24", "cooling"), 1);
  EXPECT_EQ(Addresses("10.7.1.0/24", "free"),
            Addresses("10.7.1.0/24", "capacity") - 1);
  EXPECT_THAT(registry_->Render(),
              HasSubstr("pinion_ipam_exhausted_total{pool=\"10.7.1.0/24\"} 0"));
}

TEST_P(OwnDevicesTest, AFailedAttachLeavesNothing) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  pod.host.Shell("ip link add eth0 type veth peer name other");
  const auto status = network_->Attach(pod.Request()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
  EXPECT_EQ(Addresses("10.7.1.0/24", "cooling"), 0);
  pod.host.Shell("ip link delete eth0");
  EXPECT_TRUE(network_->Attach(pod.Request()).ok());
}

TEST_P(OwnDevicesTest, AFailedConfigurationDeletesTheLink) {
  options_.range = "10.7.1.0/24,fd00:7::/64";
  ASSERT_TRUE(Start().ok());
  Pod pod;
  // So the address is refused.
  pod.host.Shell("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
  const auto status = network_->Attach(pod.Request()).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("add address fd00:7::2/64 to eth0: "));
  EXPECT_THAT(pod.host.Shell("ip link"), Not(HasSubstr("eth0")));
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
  EXPECT_EQ(Addresses("fd00:7::/64", "in_use"), 0);
}

TEST_P(OwnDevicesTest, AnAddressThatTheKernelStillHasIsPassedOver) {
  ASSERT_TRUE(Start().ok());
  // As a pod whose namespace outlives its release.
  Pod lingering, next;
  ASSERT_TRUE(network_->Attach(lingering.Request()).ok());
  ASSERT_TRUE(network_->Detach(lingering.id).ok());
  network_.reset();
  std::filesystem::remove_all(options_.ipam_dir);
  ASSERT_TRUE(Start().ok());
  const auto addresses = network_->Attach(next.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "10.7.1.3");
  EXPECT_TRUE(Reaches(node_, next.host, "10.7.1.3"));
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 1);
  EXPECT_EQ(Addresses("10.7.1.0/24", "cooling"), 1);
}

TEST_P(OwnDevicesTest, AFullRangeRefusesWithTheReason) {
  options_.range = "10.7.1.0/30";
  ASSERT_TRUE(Start().ok());
  Pod one, two;
  ASSERT_TRUE(network_->Attach(one.Request()).ok());
  const auto status = network_->Attach(two.Request()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1 of 1 in use"));
  EXPECT_THAT(two.host.Shell("ip link"), Not(HasSubstr("eth0")));
}

TEST_P(OwnDevicesTest, SetsTheMtu) {
  options_.mtu = 1400;
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  EXPECT_THAT(pod.host.Shell("ip link show eth0"), HasSubstr("mtu 1400"));
}

TEST_P(OwnDevicesTest, PodsLiveThroughARestartOfTheDaemon) {
  ASSERT_TRUE(Start().ok());
  Pod kept, gone;
  const auto addresses = network_->Attach(kept.Request());
  ASSERT_TRUE(addresses.ok());
  ASSERT_TRUE(network_->Attach(gone.Request()).ok());
  const std::string listing = "ip -o link | cut -d' ' -f1,2";
  const std::string before = node_.Shell(listing);
  network_.reset();
  EXPECT_TRUE(Reaches(node_, kept.host, addresses->ip));

  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({{kept.id, {addresses->ip}}}).ok());
  EXPECT_EQ(node_.Shell(listing), before);
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 1);
  EXPECT_EQ(Addresses("10.7.1.0/24", "cooling"), 1);
  EXPECT_TRUE(Reaches(node_, kept.host, addresses->ip));
  EXPECT_TRUE(Reaches(kept.host, node_, "10.7.1.1"));
}

TEST_P(OwnDevicesTest, RecordsBringBackAddressesOfALostPool) {
  ASSERT_TRUE(Start().ok());
  Pod pod, other;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok());
  network_.reset();
  std::filesystem::remove_all(options_.ipam_dir);
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({{pod.id, {addresses->ip}}}).ok());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 1);
  const auto next = network_->Attach(other.Request());
  ASSERT_TRUE(next.ok());
  EXPECT_NE(next->ip, addresses->ip);
  EXPECT_EQ(network_->Reconcile({{NewId(), {next->ip}}, {other.id, {next->ip}}})
                .code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_P(OwnDevicesTest, RecordsBringBackAddressesOfADamagedPool) {
  ASSERT_TRUE(Start().ok());
  Pod pod, other;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok());
  EXPECT_THAT(registry_->Render(),
              HasSubstr("pinion_ipam_pools_set_aside_total 0"));
  network_.reset();
  // The slots of the first two addresses: no process writes such words.
  std::fstream file(options_.ipam_dir + "/10.7.1.0_24",
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096);
  file << std::string(16, '\xff');
  file.close();

  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({{pod.id, {addresses->ip}}}).ok());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 1);
  EXPECT_THAT(registry_->Render(),
              HasSubstr("pinion_ipam_pools_set_aside_total 1"));
  int kept = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(options_.ipam_dir)) {
    const std::string name = entry.path().filename();
    if (name.find("10.7.1.0_24.corrupt-") == 0) ++kept;
  }
  EXPECT_EQ(kept, 1);
  const auto next = network_->Attach(other.Request());
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_NE(next->ip, addresses->ip);
  EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
}

TEST_P(OwnDevicesTest, DaemonsSideBySide) {
  ASSERT_TRUE(Start().ok());
  const std::unique_ptr<PodNetwork> first = std::move(network_);
  options_.host_link_name = "pn-second";
  options_.bridge_name = "pn-second";
  options_.range = "10.7.2.0/24";
  options_.ipam_dir = dir_ + "/second";
  ASSERT_TRUE(Start().ok());
  Pod one, two;
  ASSERT_TRUE(first->Attach(one.Request()).ok());
  ASSERT_TRUE(network_->Attach(two.Request()).ok());
  EXPECT_TRUE(Reaches(node_, one.host, "10.7.1.2"));
  EXPECT_TRUE(Reaches(node_, two.host, "10.7.2.2"));
}

TEST_P(OwnDevicesTest, RemovesWhatItMadeAndNothingElse) {
  node_.Shell("ip link add pn-foreign type veth peer name pn-foreign2");
  options_.service_cidr = "10.96.0.0/12";
  const std::string before =
      node_.Shell("ip -o link; ip route; nft list ruleset");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  ASSERT_TRUE(network_->Attach(pod.Request()).ok());
  network_.reset();
  absl::Status removed;
  node_.Run([&] { removed = RemoveNodeDevices(options_); });
  EXPECT_TRUE(removed.ok()) << removed;
  node_.Run([&] { removed = RemoveNodeDevices(options_); });
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_EQ(node_.Shell("ip -o link; ip route; nft list ruleset"), before);
  options_.host_link_name = "pn-foreign";
  options_.bridge_name = "pn-foreign";
  node_.Run([&] { removed = RemoveNodeDevices(options_); });
  EXPECT_EQ(removed.code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(OwnDevicesTest, LeavesAForeignDeviceOfItsNameAlone) {
  const std::string& name = NodeLinkName(options_);
  node_.Shell("ip link add " + name + " type veth peer name x && ip link set " +
              name + " up");
  ASSERT_TRUE(Start().ok());
  const Readiness readiness = network_->GetReadiness();
  EXPECT_FALSE(readiness.ready);
  const bool bridge = GetParam() == Options::Mode::kBridge;
  EXPECT_EQ(readiness.reason, bridge ? "ParentFailed" : "HostLinkFailed");
  EXPECT_THAT(readiness.message, HasSubstr(bridge ? "network.bridge_name"
                                                  : "network.host_link_name"));
  Pod pod;
  EXPECT_EQ(network_->Attach(pod.Request()).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_P(OwnDevicesTest, MakesItsDevicesAnewWhenTheyAreDeleted) {
  ASSERT_TRUE(Start().ok());
  const std::string parent = GetParam() == Options::Mode::kBridge
                                 ? options_.bridge_name
                                 : AutoParentName(options_.host_link_name);
  node_.Shell("ip link delete " + parent);
  Pod pod;
  // One that comes before the new device fails, and the next has another
  // address.
  absl::StatusOr<PodAddresses> addresses = absl::UnavailableError("");
  ASSERT_TRUE(Eventually([&] {
    addresses = network_->Attach(pod.Request());
    return addresses.ok();
  })) << addresses.status();
  EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
}

int OpenFds() {
  int count = 0;
  DIR* const dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

TEST_P(OwnDevicesTest, ManyPodsComeAndGoWithoutATrace) {
  // Fewer addresses than pods: each is used several times.
  options_.range = "10.7.1.0/26";
  options_.cool_down = std::chrono::milliseconds(0);
  ASSERT_TRUE(Start().ok());
  const int fds = OpenFds();
  // Without their states, which settle a moment after the start, and without
  // neighbours that the kernel has learned.
  const std::string listing =
      "ip -br link | cut -d' ' -f1; ip route; ip neigh show nud permanent";
  const std::string links = node_.Shell(listing);
  for (int i = 0; i < 150; ++i) {
    Pod pod;
    absl::StatusOr<PodAddresses> addresses;
    // The kernel may be behind with taking former pods' ports down.
    EXPECT_TRUE(Eventually([&] {
      addresses = network_->Attach(pod.Request());
      return !absl::IsUnavailable(addresses.status());
    }));
    ASSERT_TRUE(addresses.ok()) << i << ": " << addresses.status();
    ASSERT_TRUE(network_->Detach(pod.id).ok());
  }
  // The network's thread has one more open now and then.
  EXPECT_TRUE(Eventually([&] { return OpenFds() <= fds; })) << OpenFds();
  // The kernel takes namespaces down in the background.
  EXPECT_TRUE(Eventually([&] { return node_.Shell(listing) == links; }))
      << node_.Shell(listing);
  EXPECT_EQ(Addresses("10.7.1.0/26", "in_use"), 0);
  EXPECT_EQ(Addresses("10.7.1.0/26", "capacity"), 61);
}

TEST(NoneNetworkTest, PodsHaveLoopback) {
  const auto registry = metrics::Registry::Create();
  Options options;
  options.mode = Options::Mode::kNone;
  const auto network = NewPodNetwork(options, *registry);
  ASSERT_TRUE(network.ok());
  EXPECT_TRUE((*network)->GetReadiness().ready);
  Pod pod;
  const auto addresses = (*network)->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "");
  EXPECT_TRUE(Reaches(pod.host, pod.host, "127.0.0.1"));
  EXPECT_TRUE((*network)->Detach(pod.id).ok());
  EXPECT_TRUE((*network)->SetPodCidr("10.0.0.0/24").ok());
  EXPECT_FALSE((*network)->SetPodCidr("10.0.0.0/33").ok());
}

}  // namespace
}  // namespace pinion::network
