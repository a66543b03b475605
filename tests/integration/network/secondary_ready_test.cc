// Whether further networks are ready: what Status and /metrics show of it; who
// waits for whom; what a restart finds.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "os/unique_fd.h"
#include "tests/integration/network/secondary_bed.h"

namespace pinion::network {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Stands for a pod's netlink socket: who sends over it stands still until
// Drain, as in a kernel that is busy.
class StuckSocket {
 public:
  StuckSocket() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    near_ = os::UniqueFd(ends[0]);
    far_ = os::UniqueFd(ends[1]);
    // Until there is no room.
    while (send(near_.get(), "", 1, MSG_DONTWAIT) == 1) continue;
  }
  // Nobody sends any more.
  ~StuckSocket() {
    Drain();
    shutdown(near_.get(), SHUT_WR);
  }

  int fd() const { return near_.get(); }

  // From now on what is sent is read, and not answered.
  void Drain() {
    if (reader_.joinable()) return;
    reader_ = std::jthread([this] {
      std::array<char, 65536> buffer;
      while (read(far_.get(), buffer.data(), buffer.size()) > 0) continue;
    });
  }

 private:
  os::UniqueFd near_;
  os::UniqueFd far_;
  // Joined first.
  std::jthread reader_;
};

// Whether it comes to its end while another stands still for ever.
template <typename T>
bool Comes(const std::future<T>& future) {
  return future.wait_for(std::chrono::seconds(30)) == std::future_status::ready;
}

class SecondaryReadyTest : public SecondaryBed {
 protected:
  // Attaches the pod to "red", which comes as far as its second interface.
  std::future<absl::Status> AttachOver(StuckSocket& stuck, Pod& pod) {
    AttachRequest request = pod.Request();
    request.netns_route_socket = stuck.fd();
    request.secondary = {{"red", "net1"}};
    auto attach = std::async(std::launch::async, [this, request] {
      return network_->Attach(request).status();
    });
    EXPECT_TRUE(Eventually([&] { return Links(pod.host).count("net1") == 1; }));
    return attach;
  }

  Readiness Of(const std::string& network) {
    for (const SecondaryState& state : network_->GetSecondary()) {
      if (state.network == network) return state.readiness;
    }
    return {false, "Unknown", ""};
  }
  bool ShowsReady(const std::string& network, bool ready) {
    return registry_->Render().find(
               "pinion_secondary_network_ready{network=\"" + network + "\"} " +
               (ready ? "1" : "0")) != std::string::npos;
  }
};

TEST_F(SecondaryReadyTest, NeitherStatusNorMetricsWaitForAnAttach) {
  Network("red") = {.parent = "lan1", .range = "10.1.0.0/24"};
  ASSERT_TRUE(Start().ok());
  Pod pod;
  StuckSocket stuck;
  auto attach = AttachOver(stuck, pod);
  auto status =
      std::async(std::launch::async, [&] { return network_->GetSecondary(); });
  auto metrics =
      std::async(std::launch::async, [&] { return registry_->Render(); });
  EXPECT_TRUE(Comes(status));
  EXPECT_TRUE(Comes(metrics));
  EXPECT_EQ(attach.wait_for(std::chrono::seconds(0)),
            std::future_status::timeout);
  stuck.Drain();
  EXPECT_FALSE(attach.get().ok());
  EXPECT_TRUE(status.get().at(0).readiness.ready);
  EXPECT_THAT(
      metrics.get(),
      AllOf(HasSubstr("pinion_secondary_network_ready{network=\"red\"} 1"),
            HasSubstr("{pool=\"red:10.1.0.0/24\",state=\"in_use\"} 1")));
  EXPECT_EQ(Addresses("red:10.1.0.0/24", "in_use"), 0);
}

TEST_F(SecondaryReadyTest, WhatBecomesOfAParentIsSeenWithoutAnAttach) {
  Network("late") = {.parent = "late0", .range = "10.4.0.0/24"};
  ASSERT_TRUE(Start().ok());
  const auto late = [&] { return Of("late").reason; };
  EXPECT_EQ(late(), "ParentMissing");
  EXPECT_TRUE(ShowsReady("late", false));
  EXPECT_EQ(Addresses("late:10.4.0.0/24", "in_use"), -1);
  node_.Shell("ip link add late0 type bridge");
  EXPECT_TRUE(Eventually([&] { return late() == "ParentDown"; })) << late();
  node_.Shell("ip link set late0 up");
  EXPECT_TRUE(Eventually([&] { return Of("late").ready; })) << late();
  // The metric is set after the state.
  EXPECT_TRUE(Eventually([&] { return ShowsReady("late", true); }));
  EXPECT_EQ(Addresses("late:10.4.0.0/24", "in_use"), 0);
  node_.Shell("ip link set late0 down");
  EXPECT_TRUE(Eventually([&] { return late() == "ParentDown"; })) << late();
  EXPECT_TRUE(Eventually([&] { return ShowsReady("late", false); }));
  // Some kernels rename no device that is up.
  node_.Shell("ip link set late0 name other0");
  EXPECT_TRUE(Eventually([&] { return late() == "ParentMissing"; })) << late();
  node_.Shell("ip link set other0 name late0 up");
  EXPECT_TRUE(Eventually([&] { return Of("late").ready; })) << late();
  node_.Shell("ip link delete late0");
  EXPECT_TRUE(Eventually([&] { return late() == "ParentMissing"; })) << late();
}

TEST_F(SecondaryReadyTest, AnAddressOfTheParentMayBeWhatWasMissing) {
  Network("bare") = {.parent = "lan1", .range = "10.5.0.2-10.5.0.9"};
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Of("bare").reason, "RangeUnusable");
  node_.Shell("ip address add 10.5.0.1/24 dev lan1");
  EXPECT_TRUE(Eventually([&] { return Of("bare").ready; }));
}

TEST_F(SecondaryReadyTest, AfterARestartPodsWithoutAnyWaitForNoAttach) {
  Network("red") = {.parent = "lan1", .range = "10.1.0.0/24"};
  ASSERT_TRUE(Start().ok());
  Pod plain, pod;
  const auto addresses = Attach(plain, {});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({Known(plain, *addresses)}).ok());
  StuckSocket stuck;
  auto attach = AttachOver(stuck, pod);
  auto detach = std::async(std::launch::async,
                           [&] { return network_->Detach(plain.id); });
  EXPECT_TRUE(Comes(detach));
  stuck.Drain();
  EXPECT_FALSE(attach.get().ok());
  EXPECT_TRUE(detach.get().ok());
}

TEST_F(SecondaryReadyTest, APodThatWasHalfMadeGivesItsAddressesBack) {
  Network("red") = {.parent = "lan1", .range = "10.1.0.0/24"};
  Network("late") = {.parent = "lan2", .range = "10.4.0.0/24"};
  ASSERT_TRUE(Start().ok());
  Pod pod;
  auto addresses = Attach(pod, {{"red", "net1"}, {"late", "net2"}});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  addresses->secondary.clear();  // not written yet
  network_.reset();
  node_.Shell("ip link set lan2 down && ip link set lan2 name lan9");
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(network_->Reconcile({Known(pod, *addresses)}).ok());
  EXPECT_EQ(Addresses("red:10.1.0.0/24", "in_use"), 1);
  ASSERT_TRUE(network_->Detach(pod.id).ok());
  EXPECT_EQ(Addresses("red:10.1.0.0/24", "in_use"), 0);
  node_.Shell("ip link set lan9 name lan2 && ip link set lan2 up");
  EXPECT_TRUE(Eventually([&] { return Of("late").ready; }));
  EXPECT_EQ(Addresses("late:10.4.0.0/24", "in_use"), 0);
}

TEST_F(SecondaryReadyTest, AnAddressThatCannotBeClaimedKeepsNoOther) {
  Network("late") = {.parent = "late0", .range = "10.4.0.0/24"};
  ASSERT_TRUE(Start().ok());
  const KnownPod known{.pod_id = NewId(),
                       .ips = {},
                       .secondary = {{.network = "late",
                                      .interface_name = "net1",
                                      .ips = {"damaged", "10.4.0.1"},
                                      .mac = "",
                                      .parent = "late0"}}};
  ASSERT_TRUE(network_->Reconcile({known}).ok());
  node_.Shell("ip link add late0 type bridge && ip link set late0 up");
  EXPECT_TRUE(Eventually([&] { return Of("late").ready; }));
  EXPECT_EQ(Addresses("late:10.4.0.0/24", "in_use"), 1);
  Pod pod;
  const auto addresses = Attach(pod, {{"late", "net1"}});
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_NE(addresses->secondary[0].ips[0], "10.4.0.1");
}

}  // namespace
}  // namespace pinion::network
