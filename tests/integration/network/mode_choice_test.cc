// Several modes on one node, one of which each pod gets.

#include <gmock/gmock.h>

#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::ReachesPort;

using Mode = Options::Mode;

class ModeChoiceTest : public NetworkTest {
 protected:
  ModeChoiceTest() {
    options_.range = "10.7.1.0/24";
    options_.modes = {Mode::kBridge, Mode::kNone};
    options_.bridge_range = "10.8.1.0/24";
    node_.Shell("ip link set lo up && sysctl -qw net.ipv4.ip_forward=1");
  }

  absl::StatusOr<PodAddresses> Attach(Pod& pod, const std::string& mode,
                                      uint16_t host_port = 0) {
    AttachRequest request = pod.Request();
    request.mode = mode;
    if (host_port != 0) {
      request.host_ports.push_back(
          {HostPort::Protocol::kTcp, host_port, 80, ""});
    }
    return network_->Attach(request);
  }
};

TEST_F(ModeChoiceTest, EachPodGetsWhatItAsksFor) {
  ASSERT_TRUE(Start().ok());
  Pod plain, macvlan, bridged, lonely;
  EXPECT_EQ(Attach(plain, "")->ip, "10.7.1.2");
  EXPECT_EQ(Attach(macvlan, "macvlan")->ip, "10.7.1.3");
  EXPECT_EQ(Attach(bridged, "bridge")->ip, "10.8.1.2");
  EXPECT_EQ(Attach(lonely, "none")->ip, "");
  EXPECT_THAT(bridged.host.Shell("ip -d link show eth0"), HasSubstr("veth"));
  EXPECT_THAT(macvlan.host.Shell("ip -d link show eth0"), HasSubstr("macvlan"));
  EXPECT_THAT(lonely.host.Shell("ip link"), Not(HasSubstr("eth0")));
  EXPECT_TRUE(Reaches(node_, plain.host, "10.7.1.2"));
  EXPECT_TRUE(Reaches(node_, bridged.host, "10.8.1.2"));
  // Through the node, both ways.
  EXPECT_TRUE(Reaches(plain.host, bridged.host, "10.8.1.2"));
  EXPECT_TRUE(Reaches(bridged.host, plain.host, "10.7.1.2"));
}

TEST_F(ModeChoiceTest, AModeThatIsNotEnabledIsRefused) {
  ASSERT_TRUE(Start().ok());
  Pod pod;
  for (const char* const mode : {"cni", "Bridge", "x"}) {
    const absl::Status status = Attach(pod, mode).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(network_->CheckMode(mode), status);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("is not enabled on this node (macvlan, bridge, "
                          "none)"));
  }
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
  options_.modes = {};
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Attach(pod, "bridge").status()));
  EXPECT_TRUE(Attach(pod, "macvlan").ok());
}

TEST_F(ModeChoiceTest, DetachFindsTheRightOneAlsoAfterARestart) {
  ASSERT_TRUE(Start().ok());
  Pod plain, bridged, gone;
  ASSERT_TRUE(Attach(plain, "", 12000).ok());
  ASSERT_TRUE(Attach(bridged, "bridge", 12001).ok());
  ASSERT_TRUE(Attach(gone, "bridge").ok());

  ASSERT_TRUE(Start().ok());
  KnownPod first = {plain.id, {"10.7.1.2"}};
  first.host_ports.push_back({HostPort::Protocol::kTcp, 12000, 80, ""});
  KnownPod second = {bridged.id, {"10.8.1.2"}};
  second.host_ports.push_back({HostPort::Protocol::kTcp, 12001, 80, ""});
  second.mode = "bridge";
  ASSERT_TRUE(network_->Reconcile({first, second}).ok());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 1);
  EXPECT_EQ(Addresses("10.8.1.0/24", "in_use"), 1);
  EXPECT_NE(ReachesPort(node_, plain.host, "127.0.0.1", 12000, 80), "");
  EXPECT_NE(ReachesPort(node_, bridged.host, "127.0.0.1", 12001, 80), "");
  // Each in its own network's table and in no other.
  EXPECT_THAT(node_.Shell("nft list table ip pinion0-ports"),
              Not(HasSubstr("12000")));
  EXPECT_THAT(node_.Shell("nft list table ip pinion-host-ports"),
              Not(HasSubstr("12001")));

  ASSERT_TRUE(network_->Detach(bridged.id).ok());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 1);
  EXPECT_EQ(Addresses("10.8.1.0/24", "in_use"), 0);
  EXPECT_THAT(node_.Shell("nft list ruleset"), Not(HasSubstr("12001")));
  ASSERT_TRUE(network_->Detach(plain.id).ok());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
}

TEST_F(ModeChoiceTest, APortOfTheNodeLeadsToOnePodWhateverItsMode) {
  ASSERT_TRUE(Start().ok());
  Pod plain, bridged;
  ASSERT_TRUE(Attach(plain, "", 12000).ok());
  const absl::Status taken = Attach(bridged, "bridge", 12000).status();
  EXPECT_TRUE(absl::IsAlreadyExists(taken)) << taken;
  EXPECT_EQ(Addresses("10.8.1.0/24", "in_use"), 0);
  // One that was refused elsewhere holds no port.
  EXPECT_FALSE(Attach(bridged, "none", 12001).ok());

  ASSERT_TRUE(Start().ok());
  KnownPod known = {plain.id, {"10.7.1.2"}};
  known.host_ports.push_back({HostPort::Protocol::kTcp, 12000, 80, ""});
  ASSERT_TRUE(network_->Reconcile({known}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Attach(bridged, "bridge", 12000).status()));
  ASSERT_TRUE(network_->Detach(plain.id).ok());
  ASSERT_TRUE(Attach(bridged, "bridge", 12000).ok());
  EXPECT_NE(ReachesPort(node_, bridged.host, "127.0.0.1", 12000, 80), "");
  Pod other;
  EXPECT_TRUE(Attach(other, "macvlan", 12001).ok());
}

TEST_F(ModeChoiceTest, OneThatIsNotReadyTakesOnlyItsOwnPods) {
  node_.Shell("sysctl -qw net.ipv4.ip_forward=0");
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(network_->GetReadiness().ready);
  Pod plain, bridged;
  EXPECT_TRUE(Attach(plain, "").ok());
  const absl::Status status = Attach(bridged, "bridge").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("ForwardingOff"));
  EXPECT_THAT(registry_->Render(),
              AllOf(HasSubstr("pinion_network_ready{mode=\"macvlan\"} 1"),
                    HasSubstr("pinion_network_ready{mode=\"bridge\"} 0")));
}

TEST_F(ModeChoiceTest, ThePodCidrIsTheFirstOnesAndNoOthers) {
  options_.range = "";
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(absl::IsInvalidArgument(network_->SetPodCidr("10.8.0.0/16")));
  EXPECT_TRUE(network_->SetPodCidr("10.9.1.0/24").ok());
  Pod plain, bridged;
  EXPECT_EQ(Attach(plain, "")->ip, "10.9.1.2");
  EXPECT_EQ(Attach(bridged, "bridge")->ip, "10.8.1.2");
}

TEST_F(ModeChoiceTest, ARememberedPodCidrLeavesTheOthersAlone) {
  options_.range = "";
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->SetPodCidr("10.9.1.0/24").ok());
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(network_->GetReadiness().ready);
  network_.reset();
  node_.Shell("ip link delete pinion0");

  options_.bridge_range = "10.9.1.128/25";
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(network_->GetReadiness().reason, "NoPodCidr");
  Pod plain, bridged, next;
  EXPECT_TRUE(absl::IsFailedPrecondition(Attach(plain, "").status()));
  EXPECT_EQ(Attach(bridged, "bridge")->ip, "10.9.1.130");
  // Nor is it taken when it is told again; another one is.
  EXPECT_TRUE(absl::IsInvalidArgument(network_->SetPodCidr("10.9.1.0/24")));
  ASSERT_TRUE(network_->SetPodCidr("10.9.1.0/25").ok());
  EXPECT_EQ(Attach(plain, "")->ip, "10.9.1.2");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Attach(next, "")->ip, "10.9.1.3");
}

TEST_F(ModeChoiceTest, ThePodCidrLeavesFurtherNetworksOfItsWireAlone) {
  TestHost lan;
  Connect(node_, lan, "lan0");
  Connect(node_, lan, "lan1");
  options_.parent = "lan0";
  options_.range = "";
  options_.modes = {};
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->SetPodCidr("10.9.0.0/16").ok());
  options_.secondary["red"] = {.parent = "lan0", .range = "10.9.1.0/24"};
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(network_->GetReadiness().reason, "NoPodCidr");
  EXPECT_TRUE(absl::IsInvalidArgument(network_->SetPodCidr("10.9.0.0/16")));
  EXPECT_TRUE(network_->SetPodCidr("10.9.2.0/24").ok());
  // Elsewhere the same addresses are others.
  options_.secondary["red"].parent = "lan1";
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(network_->SetPodCidr("10.9.0.0/16").ok());
  options_.secondary.clear();
}

TEST_F(ModeChoiceTest, AllGoAtTheEnd) {
  const std::string before = node_.Shell("ip -o link; nft list ruleset");
  ASSERT_TRUE(Start().ok());
  network_.reset();
  absl::Status removed;
  node_.Run([&] { removed = RemoveNodeDevices(options_); });
  ASSERT_TRUE(removed.ok()) << removed;
  EXPECT_EQ(node_.Shell("ip -o link; nft list ruleset"), before);
}

}  // namespace
}  // namespace pinion::network
