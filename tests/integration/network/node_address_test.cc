// The address by which pods know the node, while the parent's come, go and
// change, and the daemon with them.

#include <gmock/gmock.h>

#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;

class NodeAddressTest : public NetworkTest {
 protected:
  NodeAddressTest() {
    Connect(node_, third_, "lan0");
    third_.Shell("ip address add 10.9.0.2/16 dev lan0");
    options_.parent = "lan0";
    options_.range = "10.9.7.0/24";
  }

  // As the daemon starts: with what its records say.
  void StartWith(const std::vector<const Pod*>& pods) {
    ASSERT_TRUE(Start().ok());
    std::vector<KnownPod> known;
    for (const Pod* pod : pods) {
      known.push_back({.pod_id = pod->id, .ips = {addresses_[pod->id]}});
    }
    ASSERT_TRUE(network_->Reconcile(known).ok());
  }

  void Attach(Pod& pod) {
    const auto addresses = network_->Attach(pod.Request());
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    addresses_[pod.id] = addresses->ip;
  }

  void ExpectReached(Pod& pod, const std::string& node) {
    EXPECT_TRUE(Reaches(node_, pod.host, addresses_[pod.id]));
    EXPECT_TRUE(Reaches(pod.host, node_, node));
  }

  bool IsSoon(const std::string& reason) {
    return Eventually(
        [&] { return network_->GetReadiness().reason == reason; });
  }

  bool LeadsToPodsFrom(const std::string& node) {
    const std::string route =
        "10.9.7.0/24 dev pinion-host proto 112 scope link src " + node;
    return Eventually([&] {
      return node_.Shell("ip route").find(route) != std::string::npos;
    });
  }

  TestHost third_;
  std::map<std::string, std::string> addresses_;
};

TEST_F(NodeAddressTest, WhatComesLaterTakesNoPodTheNode) {
  StartWith({});
  Pod early, late;
  Attach(early);
  ExpectReached(early, "10.9.7.1");
  node_.Shell("ip address add 10.9.0.1/16 dev lan0");
  StartWith({&early});
  ASSERT_TRUE(network_->GetReadiness().ready)
      << network_->GetReadiness().message;
  ExpectReached(early, "10.9.7.1");
  Attach(late);
  ExpectReached(late, "10.9.7.1");
  EXPECT_TRUE(Reaches(late.host, third_, "10.9.0.2"));
  // When nobody knows the node by it any more, it is the parent's.
  for (const Pod* pod : {&early, &late}) {
    ASSERT_TRUE(network_->Detach(pod->id).ok());
  }
  StartWith({});
  Pod last;
  Attach(last);
  ExpectReached(last, "10.9.0.1");
}

TEST_F(NodeAddressTest, WhatTheParentLosesIsMissedUntilItComesBack) {
  node_.Shell("ip address add 10.9.0.1/16 dev lan0");
  StartWith({});
  Pod pod;
  Attach(pod);
  // As when the DHCP server gives another.
  node_.Shell(
      "ip address del 10.9.0.1/16 dev lan0 && "
      "ip address add 10.9.0.3/16 dev lan0");
  EXPECT_TRUE(IsSoon("NodeAddressGone"));
  EXPECT_THAT(network_->GetReadiness().message,
              HasSubstr("pods of 10.9.7.0/24 know this node by 10.9.0.1, "
                        "which lan0 has no more"));
  StartWith({&pod});
  EXPECT_EQ(network_->GetReadiness().reason, "NodeAddressGone");
  // Nobody answers for it: who gives it back asks first.
  EXPECT_FALSE(Reaches(third_, node_, "10.9.0.1", std::chrono::seconds(1)));
  node_.Shell("ip address add 10.9.0.1/16 dev lan0");
  EXPECT_TRUE(IsSoon(""));
  ExpectReached(pod, "10.9.0.1");
  // On a drained node it takes what there is.
  ASSERT_TRUE(network_->Detach(pod.id).ok());
  node_.Shell("ip address del 10.9.0.1/16 dev lan0");
  ASSERT_TRUE(LeadsToPodsFrom("10.9.0.3"));
  EXPECT_TRUE(IsSoon(""));
  Pod next;
  Attach(next);
  ExpectReached(next, "10.9.0.3");
}

// A NIC that has its lease after piniond has begun.
TEST_F(NodeAddressTest, WhatComesBeforeTheFirstPodIsAsIfItHadBeenThere) {
  node_.Shell("ip link set lan0 down");
  StartWith({});
  EXPECT_EQ(network_->GetReadiness().reason, "ParentDown");
  node_.Shell("ip link set lan0 up");
  ASSERT_TRUE(IsSoon(""));
  node_.Shell("ip address add 10.9.0.1/16 dev lan0");
  ASSERT_TRUE(LeadsToPodsFrom("10.9.0.1"));
  ASSERT_TRUE(IsSoon(""));
  Pod pod;
  Attach(pod);
  ExpectReached(pod, "10.9.0.1");
  EXPECT_THAT(pod.host.Shell("ip address show eth0"), HasSubstr("10.9.7.1/16"));
  EXPECT_TRUE(Reaches(pod.host, third_, "10.9.0.2"));
}

TEST_F(NodeAddressTest, WhatTheParentGetsIsNoMoreTheHostLinks) {
  options_.node_address = "10.9.0.1";
  options_.subnet = "10.9.0.0/16";
  StartWith({});
  Pod pod;
  Attach(pod);
  ExpectReached(pod, "10.9.0.1");
  node_.Shell("ip address add 10.9.0.1/16 dev lan0");
  EXPECT_TRUE(Eventually([&] {
    return node_.Shell("ip -4 address show dev pinion-host").find("10.9.0.1") ==
           std::string::npos;
  }));
  EXPECT_TRUE(IsSoon(""));
  ExpectReached(pod, "10.9.0.1");
  EXPECT_TRUE(Reaches(third_, node_, "10.9.0.1"));
  // As any other of the parent's: nobody answers for it when that loses it.
  node_.Shell("ip address del 10.9.0.1/16 dev lan0");
  EXPECT_TRUE(IsSoon("NodeAddressGone"));
  StartWith({&pod});
  EXPECT_EQ(network_->GetReadiness().reason, "NodeAddressGone");
}

// The node cannot help these pods; who looks into the log is told of them.
TEST_F(NodeAddressTest, PodsThatAreCutOffAreTold) {
  node_.Shell("ip address add 10.9.0.1/16 dev lan0");
  StartWith({});
  Pod pod, other;
  Attach(pod);
  testing::internal::CaptureStderr();
  node_.Shell("ip link delete lan0");
  EXPECT_TRUE(IsSoon("ParentMissing"));
  Connect(node_, third_, "lan0");
  EXPECT_TRUE(IsSoon("NodeAddressGone"));
  node_.Shell("ip address add 10.9.0.1/16 dev lan0");
  EXPECT_TRUE(IsSoon(""));
  network_.reset();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("pods have lost their interface with the former, "
                        "delete them parent=lan0 pods=1"));

  options_.range = "10.9.8.0/24";
  testing::internal::CaptureStderr();
  StartWith({&pod});
  network_.reset();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("a pod of an earlier range is not reached by the node: "
                        "delete it pod="));
}

}  // namespace
}  // namespace pinion::network
