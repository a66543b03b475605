// Two nodes on one LAN, each with a piniond, and a third host: who reaches
// whom, by pods' addresses, services and ports of the nodes; and what happens
// when a node's NIC is not there for a while.

#include "tests/integration/daemon/two_nodes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/eventually.h"

namespace pinion::testing {
namespace {

using testing_support::Eventually;
using testing_support::Reaches;
using testing_support::ReachesPort;
using testing_support::TestHost;

class TwoNodesTest : public ::testing::Test {
 protected:
  LanNode& one() { return *lan_.one; }
  LanNode& two() { return *lan_.two; }

  TwoNodes lan_;
};

TEST_F(TwoNodesTest, EverybodyReachesEverybody) {
  const LanPod a = one().RunPod("a");
  const LanPod b = one().RunPod("b");
  const LanPod c = two().RunPod("c");
  struct Place {
    std::string name;
    TestHost* host;
    std::vector<std::string> ips;
  };
  const std::vector<Place> places = {{"node 1", &one().host, one().ips},
                                     {"node 2", &two().host, two().ips},
                                     {"third", &lan_.third, lan_.third_ips},
                                     {"pod a of node 1", a.host.get(), a.ips},
                                     {"pod b of node 1", b.host.get(), b.ips},
                                     {"pod c of node 2", c.host.get(), c.ips}};
  for (const Place& from : places) {
    for (const Place& to : places) {
      if (from.host == to.host) continue;
      ASSERT_EQ(to.ips.size(), 2u) << to.name;
      for (const std::string& ip : to.ips) {
        EXPECT_TRUE(Reaches(*from.host, *to.host, ip))
            << from.name << " → " << to.name << ", " << ip;
      }
    }
  }
}

TEST_F(TwoNodesTest, EveryAddressHasOneAnswer) {
  const LanPod a = one().RunPod("a");
  const LanPod c = two().RunPod("c");
  for (const auto& ips : {one().ips, two().ips, a.ips, c.ips}) {
    for (const std::string& ip : ips) EXPECT_EQ(lan_.Answers(ip), 1u) << ip;
  }
  // The test does see a second answer where there is one.
  one().host.Shell("sysctl -qw net.ipv4.conf.pinion-host.arp_ignore=0");
  EXPECT_TRUE(Eventually([&] { return lan_.Answers(one().ips[0]) == 2u; }));
}

TEST_F(TwoNodesTest, AServiceIsBackedByPodsOfEitherNode) {
  const LanPod client = one().RunPod("client");
  const LanPod near = one().RunPod("near");
  const LanPod far = two().RunPod("far");
  const auto serve_by = [this](const LanPod& backend) {
    // As kube-proxy would.
    one().host.Shell(absl::StrCat(
        "nft 'table inet proxy; delete table inet proxy; table inet proxy { "
        "chain prerouting { type nat hook prerouting priority -100; "
        "ip daddr 10.96.0.10 dnat ip to ",
        backend.ips[0], "; ip6 daddr fd00:96::10 dnat ip6 to ", backend.ips[1],
        "; }; }'"));
  };
  for (const LanPod* const backend : {&near, &far}) {
    serve_by(*backend);
    // The backend sees the node: it would answer a pod of its subnet directly.
    EXPECT_EQ(ReachesPort(*client.host, *backend->host, "10.96.0.10", 80, 80),
              one().ips[0]);
    EXPECT_EQ(ReachesPort(*client.host, *backend->host, "fd00:96::10", 80, 80),
              one().ips[1]);
  }
}

TEST_F(TwoNodesTest, HostPortsLeadToThePodFromEverywhere) {
  constexpr uint16_t kPort = 12000;
  const LanPod target = one().RunPod("target", kPort);
  const LanPod near = one().RunPod("near");
  const LanPod far = two().RunPod("far");
  const std::vector<std::pair<std::string, TestHost*>> clients = {
      {"the node", &one().host},
      {"the third host", &lan_.third},
      {"the other node", &two().host},
      {"a pod of the node", near.host.get()},
      {"a pod of the other node", far.host.get()},
      {"the pod itself", target.host.get()}};
  for (const auto& [name, client] : clients) {
    for (const std::string& ip : one().ips) {
      EXPECT_NE(ReachesPort(*client, *target.host, ip, kPort, 80), "")
          << name << " → " << ip;
    }
  }
  EXPECT_NE(ReachesPort(one().host, *target.host, "127.0.0.1", kPort, 80), "");
  // The other node's port of this number is nobody's.
  EXPECT_EQ(ReachesPort(lan_.third, *target.host, two().ips[0], kPort, 80,
                        std::chrono::seconds(1)),
            "");
}

// Faults of the NIC (design: faults.md, 11).
class NicFaultsTest : public TwoNodesTest {
 protected:
  NicFaultsTest() : pod_(one().RunPod("before", 12000)) {}

  void AwaitReason(const std::string& reason) {
    std::string now;
    EXPECT_TRUE(Eventually([&] {
      now = one().NetworkReason();
      return now == reason;
    })) << "it is \""
        << now << "\", not \"" << reason << "\"";
  }

  void ExpectRefusal(const std::string& reason) {
    const absl::Status refused = one().TryRunPod("refused");
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr(reason));
  }

  // A pod that was there before, its host port, and a new pod, both families.
  void ExpectAllIsWell(const LanPod& old) {
    const LanPod fresh = one().RunPod("after");
    for (const LanPod* const pod : {&old, &fresh}) {
      for (const std::string& ip : pod->ips) {
        EXPECT_TRUE(Reaches(one().host, *pod->host, ip)) << ip;
        EXPECT_TRUE(Reaches(lan_.third, *pod->host, ip)) << ip;
      }
      for (const std::string& ip : one().ips) {
        EXPECT_TRUE(Reaches(*pod->host, one().host, ip)) << ip;
      }
    }
    EXPECT_NE(ReachesPort(lan_.third, *old.host, one().ips[0], 12000, 80), "");
    EXPECT_NE(ReachesPort(one().host, *old.host, "127.0.0.1", 12000, 80), "");
  }

  const LanPod pod_;
};

TEST_F(NicFaultsTest, DownAndUpAgain) {
  one().host.Shell("ip link set nic1 down");
  AwaitReason("ParentDown");
  ExpectRefusal("ParentDown");
  one().SetNicUp();
  AwaitReason("");
  ExpectAllIsWell(pod_);
}

TEST_F(NicFaultsTest, Unplugged) {
  lan_.lan.Shell("ip link set nic1 down");
  AwaitReason("ParentDown");
  lan_.lan.Shell("ip link set nic1 up");
  AwaitReason("");
  ExpectAllIsWell(pod_);
}

TEST_F(NicFaultsTest, RenamedAndNamedBack) {
  one().host.Shell(
      "ip link set nic1 down && ip link set nic1 name other && "
      "ip link set other up");
  AwaitReason("ParentMissing");
  ExpectRefusal("ParentMissing");
  // What is there does not go by the name.
  EXPECT_TRUE(Reaches(one().host, *pod_.host, pod_.ips[0]));
  EXPECT_TRUE(Reaches(lan_.third, *pod_.host, pod_.ips[1]));
  one().host.Shell("ip link set other down && ip link set other name nic1");
  one().SetNicUp();
  AwaitReason("");
  ExpectAllIsWell(pod_);
}

TEST_F(NicFaultsTest, TheNodesAddressGoesAndComes) {
  one().host.Shell(
      "ip address delete 10.9.0.1/16 dev nic1 && "
      "ip address delete fd00:9::1/64 dev nic1");
  AwaitReason("NodeAddressGone");
  one().SetNicUp();
  AwaitReason("");
  ExpectAllIsWell(pod_);
}

TEST_F(NicFaultsTest, GoneInTheMiddleOfStarts) {
  std::atomic<bool> stop = false;
  std::atomic<int> started = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> starters;
  for (int t = 0; t < 2; ++t) {
    starters.emplace_back([&, t] {
      for (int i = 0; !stop;) {
        const absl::Status status =
            one().TryRunPod(absl::StrCat("pod-", t, "-", i));
        if (status.ok()) {
          ++i;
          ++started;
          continue;
        }
        EXPECT_FALSE(absl::IsResourceExhausted(status)) << status;
        ++refused;
        EXPECT_TRUE(
            Eventually([&] { return stop || one().NetworkReason().empty(); }));
      }
    });
  }
  for (int round = 0; round < 10 && !HasFailure(); ++round) {
    const int before = started;
    EXPECT_TRUE(Eventually([&] { return started > before + 2; }));
    const int refusals = refused;
    one().RemoveNic();
    EXPECT_TRUE(Eventually([&] { return refused > refusals; }));
    one().MakeNic();
  }
  stop = true;
  for (std::thread& starter : starters) starter.join();
  // The first pod's interface went with the NIC; the node is as good as new.
  one().bed->RemoveAll();
  AwaitReason("");
  ExpectAllIsWell(one().RunPod("again", 12000));
}

}  // namespace
}  // namespace pinion::testing
