// A node with further networks, and pods that ask for them. The node's devices
// "lan1" and "lan2" are ends of cables to another host.

#ifndef PINION_TESTS_INTEGRATION_NETWORK_SECONDARY_BED_H_
#define PINION_TESTS_INTEGRATION_NETWORK_SECONDARY_BED_H_

#include <gmock/gmock.h>

#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "network/secondary/vlan.h"
#include "tests/integration/network/network_bed.h"

namespace pinion::network {

class SecondaryBed : public NetworkTest {
 protected:
  SecondaryBed() {
    Connect(node_, outside_, "lan1");
    Connect(node_, outside_, "lan2");
    options_.range = "10.9.7.0/24";
    options_.cool_down = std::chrono::milliseconds(0);
  }

  SecondaryOptions& Network(const std::string& name) {
    return options_.secondary[name];
  }

  absl::StatusOr<PodAddresses> Attach(Pod& pod,
                                      std::vector<SecondaryRequest> networks) {
    AttachRequest request = pod.Request();
    request.secondary = std::move(networks);
    // As the kernel and `ip netns` make namespaces.
    request.heeds_routers = true;
    return network_->Attach(request);
  }

  static std::vector<std::string> Lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }

  // All links of a host but the loopback's.
  static std::set<std::string> Links(TestHost& host) {
    const auto lines =
        Lines(host.Shell("ip -o link | sed 's/^[0-9]*: //; s/[@:].*//'"));
    std::set<std::string> names(lines.begin(), lines.end());
    names.erase("lo");
    return names;
  }

  // The node's VLAN devices that are pinion's.
  std::vector<std::string> Vlans() {
    std::vector<std::string> names;
    for (const std::string& name : Links(node_)) {
      if (IsVlanDeviceName(options_.host_link_name, name)) {
        names.push_back(name);
      }
    }
    return names;
  }

  // What the record of such a pod says.
  static KnownPod Known(const Pod& pod, const PodAddresses& addresses) {
    return {.pod_id = pod.id,
            .ips = {addresses.ip},
            .secondary = addresses.secondary};
  }

  // Of two networks that have the range 10.1.0.0/24, each for itself.
  void ExpectRedAndBlueApart() {
    Pod red1, red2, blue;
    const auto first = Attach(red1, {{"red", "net1"}});
    ASSERT_TRUE(first.ok()) << first.status();
    const auto second = Attach(red2, {{"red", "net1"}});
    ASSERT_TRUE(second.ok()) << second.status();
    const auto other = Attach(blue, {{"blue", "net1"}});
    ASSERT_TRUE(other.ok()) << other.status();
    EXPECT_THAT(first->secondary[0].ips, testing::ElementsAre("10.1.0.1"));
    EXPECT_THAT(second->secondary[0].ips, testing::ElementsAre("10.1.0.2"));
    // A pool of its own, though the range is the same.
    EXPECT_THAT(other->secondary[0].ips, testing::ElementsAre("10.1.0.1"));
    EXPECT_TRUE(Reaches(red1.host, red2.host, "10.1.0.2"));
    EXPECT_FALSE(
        Reaches(blue.host, red2.host, "10.1.0.2", std::chrono::seconds(1)));
    // What is the first interface's stays so.
    EXPECT_EQ(first->interface_name, "eth0");
    EXPECT_THAT(first->additional_ips, testing::IsEmpty());
    EXPECT_THAT(red1.host.Shell("ip route show default"),
                testing::HasSubstr("dev eth0"));
    EXPECT_THAT(red1.host.Shell("ip route"),
                testing::Not(testing::HasSubstr("dev net1 proto 112")));
  }

  TestHost outside_;
};

}  // namespace pinion::network

#endif  // PINION_TESTS_INTEGRATION_NETWORK_SECONDARY_BED_H_
