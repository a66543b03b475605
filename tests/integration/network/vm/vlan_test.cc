// Further interfaces on VLANs, whose devices are pinion's.

#include <string>
#include <vector>

#include "tests/integration/network/secondary_bed.h"

namespace pinion::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class VlanTest : public SecondaryBed {
 protected:
  VlanTest() {
    Network("red") = {.parent = "lan1", .vlan = 100, .range = "10.1.0.0/24"};
    Network("blue") = {.parent = "lan1", .vlan = 200, .range = "10.1.0.0/24"};
  }
};

TEST_F(VlanTest, PodsOfOneVlanReachEachOtherAndNotThoseOfAnother) {
  ASSERT_TRUE(Start().ok());
  ExpectRedAndBlueApart();
  EXPECT_THAT(Vlans(), SizeIs(2));
}

TEST_F(VlanTest, TheVlansTagIsOnTheWire) {
  outside_.Shell(
      "ip link add v100 link lan1 type vlan id 100 && ip link set v100 up && "
      "ip address add 10.1.0.200/24 dev v100");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = Attach(pod, {{"red", "net1"}});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_TRUE(Reaches(pod.host, outside_, "10.1.0.200"));
  EXPECT_TRUE(Reaches(outside_, pod.host, addresses->secondary[0].ips[0]));
  // The node is not in the VLAN: it does not even answer for itself.
  node_.Shell("ip address add 10.1.0.77/32 dev lan1");
  EXPECT_FALSE(Reaches(pod.host, node_, "10.1.0.77", std::chrono::seconds(1)));
}

TEST_F(VlanTest, VlansOfOthersAreLeftAlone) {
  node_.Shell("ip link add theirs link lan1 type vlan id 100");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({}).ok());
  Pod pod;
  const auto addresses = Attach(pod, {{"red", "net1"}});
  EXPECT_TRUE(absl::IsFailedPrecondition(addresses.status()))
      << addresses.status();
  EXPECT_THAT(addresses.status().message(), HasSubstr("is theirs"));
  EXPECT_THAT(Links(pod.host), IsEmpty());
  // As the parent it is as good as any.
  node_.Shell("ip link set theirs up");
  Network("red") = {.parent = "theirs", .range = "10.1.0.0/24"};
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Attach(pod, {{"red", "net1"}}).ok());
  ASSERT_TRUE(network_->Detach(pod.id).ok());
  node_.Run([&] { EXPECT_TRUE(RemoveNodeDevices(options_).ok()); });
  EXPECT_THAT(node_.Shell("ip link"), HasSubstr("theirs@lan1"));
}

TEST_F(VlanTest, ANetworkThatIsConfiguredNoLongerKeepsItsPods) {
  ASSERT_TRUE(Start().ok());
  Pod pod, sibling;
  const auto addresses = Attach(pod, {{"red", "net1"}});
  ASSERT_TRUE(addresses.ok());
  options_.secondary.clear();
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({Known(pod, *addresses)}).ok());
  EXPECT_THAT(Vlans(), SizeIs(1));
  EXPECT_TRUE(
      absl::IsInvalidArgument(Attach(sibling, {{"red", "net1"}}).status()));
  ASSERT_TRUE(network_->Detach(pod.id).ok());
  EXPECT_THAT(Vlans(), IsEmpty());
}

TEST_F(VlanTest, DevicesComeWithTheFirstPodAndGoWithTheLast) {
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(Vlans(), IsEmpty());
  Pod a, b;
  ASSERT_TRUE(Attach(a, {{"red", "net1"}, {"blue", "net2"}}).ok());
  ASSERT_TRUE(Attach(b, {{"red", "net1"}}).ok());
  ASSERT_THAT(Vlans(), SizeIs(2));
  const std::string device = Vlans()[0];
  EXPECT_THAT(node_.Shell("ip -d link show " + device),
              HasSubstr("alias made by pinion"));
  EXPECT_THAT(node_.Shell("ip address show " + device), Not(HasSubstr("inet")));
  ASSERT_TRUE(network_->Detach(a.id).ok());
  EXPECT_THAT(Vlans(), SizeIs(1)) << "the other pod's is on it";
  ASSERT_TRUE(network_->Detach(b.id).ok());
  EXPECT_THAT(Vlans(), IsEmpty());
}

TEST_F(VlanTest, AFailureInTheMiddleLeavesNoDevice) {
  Network("gone") = {.parent = "nowhere", .range = "10.4.0.0/24"};
  ASSERT_TRUE(Start().ok());
  Pod pod, full;
  EXPECT_FALSE(Attach(pod, {{"red", "net1"}, {"gone", "net2"}}).ok());
  EXPECT_THAT(Vlans(), IsEmpty());
  pod.host.Shell("ip link add net1 type bridge");
  EXPECT_FALSE(Attach(pod, {{"red", "net1"}}).ok());
  EXPECT_THAT(Vlans(), IsEmpty());
  pod.host.Shell("ip link delete net1 && ip link add eth0 type bridge");
  EXPECT_FALSE(Attach(pod, {{"red", "net1"}}).ok());
  EXPECT_THAT(Links(pod.host), ElementsAre("eth0"));
  EXPECT_THAT(Vlans(), IsEmpty());
}

TEST_F(VlanTest, ARestartRemovesWhatNobodyUses) {
  ASSERT_TRUE(Start().ok());
  Pod kept, lost;
  const auto addresses = Attach(kept, {{"red", "net1"}});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_TRUE(Attach(lost, {{"blue", "net1"}}).ok());
  // What a crash leaves between a device's creation and its set-up.
  const std::string half_made =
      VlanDeviceName(options_.host_link_name, "lan2", 7);
  node_.Shell("ip link add " + half_made + " link lan2 type vlan id 7");
  ASSERT_THAT(Vlans(), SizeIs(3));
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({Known(kept, *addresses)}).ok());
  EXPECT_THAT(Vlans(), ElementsAre(addresses->secondary[0].parent));
  Pod fresh;
  ASSERT_TRUE(Attach(fresh, {{"red", "net1"}}).ok());
  EXPECT_TRUE(Reaches(fresh.host, kept.host, addresses->secondary[0].ips[0]));
}

TEST_F(VlanTest, AParentThatWasDownCarriesItsVlansOn) {
  ASSERT_TRUE(Start().ok());
  Pod a, b, late;
  const auto addresses = Attach(a, {{"red", "net1"}});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  node_.Shell("ip link set lan1 down");
  EXPECT_TRUE(
      absl::IsFailedPrecondition(Attach(late, {{"red", "net1"}}).status()));
  node_.Shell("ip link set lan1 up");
  EXPECT_TRUE(Eventually([&] { return Attach(b, {{"red", "net1"}}).ok(); }));
  EXPECT_TRUE(Reaches(b.host, a.host, addresses->secondary[0].ips[0]));
}

TEST_F(VlanTest, AParentThatGoesTakesItsVlansAndIsMissing) {
  ASSERT_TRUE(Start().ok());
  Pod a, b;
  ASSERT_TRUE(Attach(a, {{"red", "net1"}}).ok());
  node_.Shell("ip link delete lan1");
  EXPECT_THAT(Links(a.host), ElementsAre("eth0"));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(Attach(b, {{"red", "net1"}}).status()));
  EXPECT_TRUE(network_->GetReadiness().ready);
  ASSERT_TRUE(network_->Detach(a.id).ok());
  Connect(node_, outside_, "lan1");
  EXPECT_TRUE(Attach(b, {{"red", "net1"}}).ok());
}

}  // namespace
}  // namespace pinion::network
