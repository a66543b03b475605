// Further interfaces: macvlans on NICs of the node, here ends of cables to
// another host. VLANs: vm/vlan_test.cc.

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/network/secondary_bed.h"

namespace pinion::network {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class SecondaryTest : public SecondaryBed {
 protected:
  SecondaryTest() {
    Network("red") = {.parent = "lan1", .range = "10.1.0.0/24"};
    Network("blue") = {.parent = "lan2", .range = "10.1.0.0/24"};
    Network("flat") = {.parent = "lan2", .range = "10.3.0.0/24"};
  }
};

TEST_F(SecondaryTest, PodsOfOneNetworkReachEachOtherAndNotThoseOfAnother) {
  ASSERT_TRUE(Start().ok());
  ExpectRedAndBlueApart();
}

TEST_F(SecondaryTest, OnePodHasSeveralOfOneNetworkAndOfOthers) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = Attach(
      pod, {{"red", "net1"}, {"red", "ran0"}, {"blue", "net3"}, {"flat", "x"}});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_THAT(addresses->secondary, SizeIs(4));
  EXPECT_NE(addresses->secondary[0].ips, addresses->secondary[1].ips);
  EXPECT_NE(addresses->secondary[0].mac, addresses->secondary[1].mac);
  EXPECT_THAT(Links(pod.host),
              ElementsAre("eth0", "net1", "net3", "ran0", "x"));
  EXPECT_EQ(addresses->secondary[3].parent, "lan2");
  for (const SecondaryInterface& one : addresses->secondary) {
    EXPECT_THAT(pod.host.Shell("ip address show dev " + one.interface_name),
                HasSubstr(one.ips[0] + "/24"));
  }
  EXPECT_EQ(Addresses("red:10.1.0.0/24", "in_use"), 2);
  // Again: nothing changes.
  const auto again = Attach(
      pod, {{"red", "net1"}, {"red", "ran0"}, {"blue", "net3"}, {"flat", "x"}});
  ASSERT_TRUE(again.ok()) << again.status();
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(again->secondary[i].ips, addresses->secondary[i].ips);
  }
  EXPECT_EQ(Addresses("red:10.1.0.0/24", "in_use"), 2);
  // A third time, and it fails: what it has stays.
  EXPECT_FALSE(Attach(pod, {{"red", "net1"}, {"flat", "eth0"}}).ok());
  pod.host.Shell("ip link delete x && ip link add x type bridge");
  EXPECT_FALSE(Attach(pod, {{"red", "net1"}, {"flat", "x"}}).ok());
  EXPECT_THAT(Links(pod.host),
              ElementsAre("eth0", "net1", "net3", "ran0", "x"));
  EXPECT_EQ(Addresses("red:10.1.0.0/24", "in_use"), 2);
  ASSERT_TRUE(network_->Detach(pod.id).ok());
  EXPECT_EQ(Addresses("red:10.1.0.0/24", "in_use"), 0);
  EXPECT_EQ(Addresses("flat:10.3.0.0/24", "in_use"), 0);
}

TEST_F(SecondaryTest, AFixedAddressIsGivenOnceAndAgainAtOnce) {
  options_.cool_down = std::chrono::hours(1);
  ASSERT_TRUE(Start().ok());
  {
    Pod pod, rival;
    const auto addresses = Attach(pod, {{"flat", "net1", {"10.3.0.42"}}});
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    EXPECT_THAT(addresses->secondary[0].ips, ElementsAre("10.3.0.42"));
    const auto refused = Attach(rival, {{"flat", "net1", {"10.3.0.42"}}});
    EXPECT_TRUE(absl::IsAlreadyExists(refused.status())) << refused.status();
    EXPECT_THAT(Links(rival.host), IsEmpty());
    // Its link goes now, not with its namespace.
    pod.host.Shell("ip link delete net1");
    ASSERT_TRUE(network_->Detach(pod.id).ok());
  }
  Pod successor;
  const auto addresses = Attach(successor, {{"flat", "net1", {"10.3.0.42"}}});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_THAT(addresses->secondary[0].ips, ElementsAre("10.3.0.42"));
}

TEST_F(SecondaryTest, DualStackRoutesMtuAndMode) {
  Network("flat") = {.parent = "lan1",
                     .range = "10.3.1.0/24,fd03:0:0:1::/64",
                     .subnet = "10.3.0.0/16,fd03::/48",
                     .gateway = "10.3.0.1",
                     .routes = {"10.50.0.0/16", "fd50::/16 via fd03::1"},
                     .exclude = {"10.3.1.1-10.3.1.9"},
                     .mtu = 1400,
                     .macvlan_mode = MacvlanMode::kPrivate};
  ASSERT_TRUE(Start().ok());
  Pod pod, sibling;
  const auto addresses = Attach(pod, {{"flat", "net1", {"fd03:0:0:1::77"}}});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_THAT(addresses->secondary[0].ips,
              ElementsAre("10.3.1.10", "fd03:0:0:1::77"));
  EXPECT_EQ(pod.host.Shell("cat /proc/sys/net/ipv6/conf/net1/accept_ra"),
            "0\n");
  const std::string link = pod.host.Shell("ip -d address show net1");
  EXPECT_THAT(link, HasSubstr("10.3.1.10/16"));
  EXPECT_THAT(link, HasSubstr("fd03:0:0:1::77/48"));
  EXPECT_THAT(link, HasSubstr("mtu 1400"));
  EXPECT_THAT(link, HasSubstr("mode private"));
  EXPECT_THAT(pod.host.Shell("ip route"),
              HasSubstr("10.50.0.0/16 via 10.3.0.1 dev net1"));
  EXPECT_THAT(pod.host.Shell("ip -6 route"),
              HasSubstr("fd50::/16 via fd03::1 dev net1"));
  EXPECT_THAT(pod.host.Shell("ip route show default"), HasSubstr("dev eth0"));
  // Private: no other macvlan of the parent is heard.
  ASSERT_TRUE(Attach(sibling, {{"flat", "net1"}}).ok());
  EXPECT_FALSE(
      Reaches(sibling.host, pod.host, "10.3.1.10", std::chrono::seconds(1)));
}

TEST_F(SecondaryTest, APodInTwoNetworksOfOneRangeTakesNobodysAddress) {
  ASSERT_TRUE(Start().ok());
  Pod a, both, b;
  const auto first = Attach(a, {{"red", "net1", {"10.1.0.5"}}});
  ASSERT_TRUE(first.ok()) << first.status();
  // Its address on lan2 is the other pod's on lan1.
  ASSERT_TRUE(Attach(both, {{"red", "net1", {"10.1.0.6"}},
                            {"blue", "net2", {"10.1.0.5"}}})
                  .ok());
  const auto second = Attach(b, {{"red", "net1", {"10.1.0.7"}}});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE(Reaches(b.host, a.host, "10.1.0.5"));
  const std::string neighbour = b.host.Shell("ip neigh show 10.1.0.5");
  EXPECT_THAT(neighbour, HasSubstr(first->secondary[0].mac));
}

TEST_F(SecondaryTest, WithoutARangeAnInterfaceHasNoAddress) {
  Network("flat").range = "";
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = Attach(pod, {{"flat", "net1"}, {"flat", "net2"}});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_THAT(addresses->secondary[0].ips, IsEmpty());
  EXPECT_NE(addresses->secondary[0].mac, addresses->secondary[1].mac);
  EXPECT_THAT(pod.host.Shell("ip address show net1"), HasSubstr("LOWER_UP"));
  EXPECT_THAT(pod.host.Shell("ip address show net1"), Not(HasSubstr("inet")));
}

TEST_F(SecondaryTest, WhatCannotBeMeantIsRefused) {
  ASSERT_TRUE(Start().ok());
  const std::vector<std::vector<SecondaryRequest>> wrong = {
      {{"green", "net1"}},
      {{"red", "net1"}, {"blue", "net1"}},
      {{"red", "eth0"}},
      {{"red", "lo"}},
      {{"red", "all"}},
      {{"red", "sixteen-bytes-xx"}},
      {{"red", "a/b"}},
      {{"red", "net1", {"10.2.0.1"}}},
      {{"red", "net1", {"10.1.0.0"}}},
      {{"red", "net1", {"fd00::1"}}},
      {{"red", "net1", {"10.1.0.5", "10.1.0.6"}}},
      {{"red", "net1", {"ten"}}},
  };
  for (const auto& networks : wrong) {
    Pod pod;
    const auto addresses = Attach(pod, networks);
    EXPECT_TRUE(absl::IsInvalidArgument(addresses.status()))
        << networks[0].network << " " << networks[0].interface_name << ": "
        << addresses.status();
    EXPECT_THAT(Links(pod.host), IsEmpty());
  }
  Pod pod;
  EXPECT_THAT(std::string(Attach(pod, wrong[0]).status().message()),
              HasSubstr("no network \"green\" is configured on this node "
                        "(network.secondary has blue, "));
}

TEST_F(SecondaryTest, AFailureInTheMiddleLeavesNothing) {
  Network("gone") = {.parent = "nowhere", .range = "10.4.0.0/24"};
  ASSERT_TRUE(Start().ok());
  // A network further on.
  Pod pod;
  const auto missing = Attach(pod, {{"red", "net1"}, {"gone", "net2"}});
  EXPECT_TRUE(absl::IsFailedPrecondition(missing.status())) << missing.status();
  EXPECT_THAT(missing.status().message(), HasSubstr("nowhere"));
  EXPECT_THAT(Links(pod.host), IsEmpty());
  EXPECT_EQ(Addresses("red:10.1.0.0/24", "in_use"), 0);
  EXPECT_EQ(Addresses("10.9.7.0/24", "in_use"), 0);
  // An interface that is there already.
  pod.host.Shell("ip link add net2 type bridge");
  const auto taken = Attach(pod, {{"red", "net1"}, {"blue", "net2"}});
  EXPECT_TRUE(absl::IsAlreadyExists(taken.status())) << taken.status();
  EXPECT_THAT(Links(pod.host), ElementsAre("net2"));
  // The first network.
  pod.host.Shell("ip link delete net2; ip link add eth0 type bridge");
  const auto first = Attach(pod, {{"red", "net1"}, {"flat", "net2"}});
  EXPECT_TRUE(absl::IsAlreadyExists(first.status())) << first.status();
  EXPECT_THAT(Links(pod.host), ElementsAre("eth0"));
  EXPECT_EQ(Addresses("red:10.1.0.0/24", "in_use"), 0);
  EXPECT_EQ(Addresses("flat:10.3.0.0/24", "in_use"), 0);
  // And nothing was used up.
  pod.host.Shell("ip link delete eth0");
  const auto good = Attach(pod, {{"red", "net1"}, {"flat", "net2"}});
  ASSERT_TRUE(good.ok()) << good.status();
}

TEST_F(SecondaryTest, AFullNetworkSaysSo) {
  Network("flat").range = "10.3.0.4/30";
  Network("flat").subnet = "10.3.0.0/24";
  ASSERT_TRUE(Start().ok());
  Pod pod, late;
  ASSERT_TRUE(Attach(pod, {{"flat", "a"}, {"flat", "b"}}).ok());
  const auto full = Attach(late, {{"red", "net1"}, {"flat", "net2"}});
  EXPECT_TRUE(absl::IsResourceExhausted(full.status())) << full.status();
  EXPECT_THAT(full.status().message(), HasSubstr("flat"));
  EXPECT_THAT(Links(late.host), IsEmpty());
  EXPECT_THAT(
      registry_->Render(),
      AllOf(
          HasSubstr("pinion_ipam_exhausted_total{pool=\"red:10.1.0.0/24\"} 0"),
          HasSubstr(
              "pinion_ipam_exhausted_total{pool=\"flat:10.3.0.4/30\"} 1")));
}

TEST_F(SecondaryTest, AnAbsentParentConcernsOnlyItsPodsAndMayCome) {
  Network("gone") = {.parent = "late0", .range = "10.4.0.0/24"};
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(network_->GetReadiness().ready);
  const auto states = network_->GetSecondary();
  ASSERT_THAT(states, SizeIs(4));
  for (const SecondaryState& state : states) {
    EXPECT_EQ(state.readiness.ready, state.network != "gone");
  }
  EXPECT_EQ(states[2].readiness.reason, "ParentMissing");
  EXPECT_EQ(states[3].parent, "lan1");
  EXPECT_THAT(registry_->Render(),
              HasSubstr("pinion_secondary_network_ready{network=\"gone\"} 0"));
  Pod pod, other;
  ASSERT_TRUE(Attach(other, {{"flat", "net1"}}).ok());
  EXPECT_FALSE(Attach(pod, {{"gone", "net1"}}).ok());
  node_.Shell("ip link add late0 type bridge");
  const auto down = Attach(pod, {{"gone", "net1"}});
  EXPECT_TRUE(absl::IsFailedPrecondition(down.status())) << down.status();
  EXPECT_THAT(down.status().message(), HasSubstr("late0 is down"));
  node_.Shell("ip link set late0 up");
  ASSERT_TRUE(Attach(pod, {{"gone", "net1"}}).ok());
  EXPECT_THAT(registry_->Render(),
              HasSubstr("pinion_secondary_network_ready{network=\"gone\"} 1"));
}

TEST_F(SecondaryTest, ARestartKeepsWhatPodsHaveAndFreesTheRest) {
  ASSERT_TRUE(Start().ok());
  Pod kept, lost, fresh;
  const auto addresses = Attach(kept, {{"red", "net1"}, {"flat", "net2"}});
  ASSERT_TRUE(addresses.ok());
  ASSERT_TRUE(Attach(lost, {{"red", "net1"}, {"blue", "net2"}}).ok());
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({Known(kept, *addresses)}).ok());
  EXPECT_EQ(Addresses("red:10.1.0.0/24", "in_use"), 1);
  EXPECT_EQ(Addresses("blue:10.1.0.0/24", "in_use"), 0);
  EXPECT_EQ(Addresses("flat:10.3.0.0/24", "in_use"), 1);
  const auto more = Attach(fresh, {{"red", "net1"}});
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_NE(more->secondary[0].ips, addresses->secondary[0].ips);
  EXPECT_TRUE(Reaches(fresh.host, kept.host, addresses->secondary[0].ips[0]));
  ASSERT_TRUE(network_->Detach(fresh.id).ok());
  ASSERT_TRUE(network_->Detach(kept.id).ok());
  EXPECT_EQ(Addresses("flat:10.3.0.0/24", "in_use"), 0);
}

TEST_F(SecondaryTest, ALostPoolIsMadeAnewFromTheRecords) {
  ASSERT_TRUE(Start().ok());
  Pod kept, fresh;
  const auto addresses = Attach(kept, {{"flat", "net1"}});
  ASSERT_TRUE(addresses.ok());
  network_.reset();
  std::filesystem::remove_all(options_.ipam_dir + "/secondary");
  // While the parent is away nothing can be claimed; it is when it is back.
  node_.Shell("ip link set lan2 down && ip link set lan2 name lan9 up");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({Known(kept, *addresses)}).ok());
  node_.Shell("ip link set lan9 down && ip link set lan9 name lan2 up");
  const auto more = Attach(fresh, {{"flat", "net1"}});
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_NE(more->secondary[0].ips, addresses->secondary[0].ips);
  EXPECT_EQ(Addresses("flat:10.3.0.0/24", "in_use"), 2);
}

TEST_F(SecondaryTest, WorksBesideEveryModeOfTheFirstNetwork) {
  options_.mode = Options::Mode::kNone;
  ASSERT_TRUE(Start().ok());
  Pod a, b;
  const auto first = Attach(a, {{"red", "net1"}});
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Attach(b, {{"red", "net1"}});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(first->ip, "");
  EXPECT_TRUE(Reaches(a.host, b.host, second->secondary[0].ips[0]));
}

}  // namespace
}  // namespace pinion::network
