// Stations on the LAN that have addresses of the node's range, and whether
// pods get those.

#include "network/duplicate_probe.h"

#include <gmock/gmock.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "network/mac.h"
#include "network/neighbour_frames.h"
#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr MacAddress kStation = {0x02, 0, 0, 0, 0, 0x77};

// A socket for ARP on lan0.
os::UniqueFd OpenArp(TestHost& host) {
  os::UniqueFd fd;
  host.Run([&fd] {
    fd.Reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ARP)));
    sockaddr_ll link{};
    link.sll_family = AF_PACKET;
    link.sll_protocol = htons(ETH_P_ARP);
    link.sll_ifindex = static_cast<int>(if_nametoindex("lan0"));
    EXPECT_EQ(
        bind(fd.get(), reinterpret_cast<const sockaddr*>(&link), sizeof(link)),
        0);
  });
  return fd;
}

// A station that has those addresses of which `has` is true, by the order in
// which it is first asked about them (from 1). It says so when it is asked for
// the `question`th time.
class Station {
 public:
  Station(TestHost& host, int question, std::function<bool(size_t)> has)
      : question_(question),
        has_(std::move(has)),
        fd_(OpenArp(host)),
        thread_([this] { Answer(); }) {}
  ~Station() {
    stopping_ = true;
    thread_.join();
  }

 private:
  void Answer() {
    struct Asked {
      size_t place = 0;
      int times = 0;
    };
    std::map<ipam::IpAddress, Asked> all;
    while (!stopping_) {
      pollfd ready{fd_.get(), POLLIN, 0};
      if (poll(&ready, 1, 50) != 1) continue;
      char buffer[ETH_FRAME_LEN];
      const ssize_t n = recv(fd_.get(), buffer, sizeof(buffer), 0);
      if (n < ETH_HLEN + 28) continue;
      const std::string_view frame(buffer, static_cast<size_t>(n));
      // A probe has no sender's address; an announcement has.
      if (frame.substr(ETH_HLEN + 14, 4) != std::string_view("\0\0\0\0", 4)) {
        continue;
      }
      const auto claim = ReadClaim(frame);
      if (!claim) continue;
      Asked& asked = all[claim->address];
      if (asked.place == 0) asked.place = all.size();
      if (++asked.times != question_ || !has_(asked.place)) continue;
      const std::string answer = AnnouncementFrame(claim->address, kStation);
      EXPECT_EQ(send(fd_.get(), answer.data(), answer.size(), 0),
                static_cast<ssize_t>(answer.size()));
    }
  }

  const int question_;
  const std::function<bool(size_t)> has_;
  const os::UniqueFd fd_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

class DuplicateProbeTest : public NetworkTest {
 protected:
  DuplicateProbeTest() {
    Connect(node_, third_, "lan0");
    node_.Shell("ip address add 10.9.0.1/16 dev lan0");
    options_.parent = "lan0";
    options_.range = "10.9.7.0/24,fd00:9::/64";
    options_.node_address = "10.9.0.1,fd00:9::1";
    options_.duplicate_probe = true;
  }

  // So that it answers: without duplicate address detection of its own.
  void Give(const std::string& prefix) {
    testing_support::AddAddress(third_, "lan0", prefix);
  }

  // A pod's link on the parent that is still there has the address.
  void Hold(const std::string& address) {
    node_.Shell("ip link add link lan0 name held" + std::to_string(held_++) +
                " up address " +
                MacToString(MacFor(*ipam::IpAddress::Parse(address))) +
                " type macvlan mode bridge");
  }

  // As the daemon's threads, in the node's namespace.
  absl::StatusOr<PodAddresses> Attach(Pod& pod) {
    absl::StatusOr<PodAddresses> result;
    node_.Run([&] { result = network_->Attach(pod.Request()); });
    return result;
  }

  int Duplicates(const std::string& pool) {
    const std::string text = registry_->Render();
    const std::string key =
        "pinion_ipam_duplicates_total{pool=\"" + pool + "\"} ";
    const size_t at = text.find(key);
    return at == std::string::npos ? -1
                                   : std::stoi(text.substr(at + key.size()));
  }

  TestHost third_;

 private:
  int held_ = 0;
};

TEST_F(DuplicateProbeTest, PodsGetAddressesThatNobodyHas) {
  Give("10.9.7.1/16");
  Give("10.9.7.2/16");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(Duplicates("10.9.7.0/24"), 0);
  Pod pod;
  const auto addresses = Attach(pod);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "10.9.7.3");
  EXPECT_EQ(Duplicates("10.9.7.0/24"), 2);
  EXPECT_EQ(Duplicates("fd00:9::/64"), 0);
  // They rest, and so do those of the other family that were claimed besides.
  EXPECT_EQ(Addresses("10.9.7.0/24", "cooling"), 2);
  EXPECT_EQ(Addresses("fd00:9::/64", "cooling"), 2);
  EXPECT_EQ(Addresses("10.9.7.0/24", "in_use"), 1);
  EXPECT_TRUE(Reaches(third_, pod.host, "10.9.7.3"));
}

// As for a thread that the machine keeps waiting for all of the interval.
TEST_F(DuplicateProbeTest, AnAnswerThatIsThereCountsWhenTheTimeIsOver) {
  Give("10.9.7.1/16");
  node_.Run([] {
    auto route = os::NetlinkSocket::Open();
    ASSERT_TRUE(route.ok()) << route.status();
    const auto lan = FindLink(*route, "lan0");
    ASSERT_TRUE(lan.ok()) << lan.status();
    auto question = DuplicateQuestion::Open(
        lan->index, lan->mac, {*ipam::IpAddress::Parse("10.9.7.1")});
    ASSERT_TRUE(question.ok()) << question.status();
    EXPECT_TRUE(Eventually([&question] {
      const auto claim =
          question->Ask({.times = 1, .interval = std::chrono::milliseconds(0)});
      EXPECT_TRUE(claim.ok()) << claim.status();
      return claim.ok() && claim->has_value();
    }));
  });
}

TEST_F(DuplicateProbeTest, AsksForIpv6Too) {
  ASSERT_TRUE(Start().ok());
  Pod first, second;
  const auto before = Attach(first);
  ASSERT_TRUE(before.ok()) << before.status();
  ASSERT_EQ(before->additional_ips.size(), 1u);
  const auto next =
      ipam::IpAddress::Parse(before->additional_ips.front())->Plus(1);
  Give(next->ToString() + "/64");
  const auto after = Attach(second);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->additional_ips.front(), next->Plus(1)->ToString());
  EXPECT_EQ(Duplicates("fd00:9::/64"), 1);
  EXPECT_EQ(Duplicates("10.9.7.0/24"), 0);
}

TEST_F(DuplicateProbeTest, AsksAboutAnAddressUntilItWasFoundFree) {
  options_.range = "10.9.7.1-10.9.7.1";
  options_.node_address = "10.9.0.1";
  options_.cool_down = std::chrono::milliseconds(1);
  Give("10.9.7.1/16");
  ASSERT_TRUE(Start().ok());
  // Its only address is somebody's, each time that it is tried.
  {
    Pod pod;
    EXPECT_FALSE(Attach(pod).ok());
    EXPECT_GE(Duplicates("10.9.7.1-10.9.7.1"), 1);
    EXPECT_EQ(Addresses("10.9.7.1-10.9.7.1", "in_use"), 0);
    EXPECT_THAT(pod.host.Shell("ip -o link"), Not(HasSubstr("eth0")));

    third_.Shell("ip address delete 10.9.7.1/16 dev lan0");
    ASSERT_TRUE(Eventually([&] { return Attach(pod).ok(); }));
    ASSERT_TRUE(network_->Detach(pod.id).ok());
  }
  // Found free: not asked about again, although it is taken meanwhile.
  Give("10.9.7.1/16");
  const int before = Duplicates("10.9.7.1-10.9.7.1");
  Pod next;
  ASSERT_TRUE(Eventually([&] { return Attach(next).ok(); }));
  EXPECT_EQ(Duplicates("10.9.7.1-10.9.7.1"), before);
}

TEST_F(DuplicateProbeTest, AParentThatIsDownIsSaid) {
  ASSERT_TRUE(Start().ok());
  node_.Shell("ip link set lan0 down");
  Pod pod;
  // By whom it is met first: the network, or who asks the neighbours.
  EXPECT_THAT(Attach(pod).status().message(),
              testing::AnyOf(HasSubstr("the parent device lan0 is down"),
                             HasSubstr("send a probe for 10.9.7.1: ENETDOWN")));
  EXPECT_EQ(Addresses("10.9.7.0/24", "in_use"), 0);
  absl::Status status;
  EXPECT_TRUE(Eventually([&] {
    status = Attach(pod).status();
    return absl::IsFailedPrecondition(status);
  })) << status;
  EXPECT_THAT(status.message(), HasSubstr("the parent device lan0 is down"));
}

// Says all the time that it has two addresses, in a VLAN, by hand: such frames
// need no VLAN devices, which not every kernel has.
class StationInVlan {
 public:
  StationInVlan(TestHost& host, uint16_t vlan, const std::string& v4,
                const std::string& v6)
      : fd_(OpenArp(host)) {
    const std::string tag = {'\x81', 0, static_cast<char>(vlan >> 8),
                             static_cast<char>(vlan)};
    for (const std::string& address : {v4, v6}) {
      std::string frame =
          AnnouncementFrame(*ipam::IpAddress::Parse(address), kStation);
      frames_.push_back(frame.insert(2 * ETH_ALEN, tag));
    }
    thread_ = std::thread([this] { Repeat(); });
  }
  ~StationInVlan() {
    stopping_ = true;
    thread_.join();
  }

 private:
  void Repeat() {
    while (!stopping_) {
      for (const std::string& frame : frames_) {
        EXPECT_EQ(send(fd_.get(), frame.data(), frame.size(), 0),
                  static_cast<ssize_t>(frame.size()));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  const os::UniqueFd fd_;
  std::vector<std::string> frames_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

TEST_F(DuplicateProbeTest, WhatIsSaidInAVlanCountsThere) {
  ASSERT_TRUE(Start().ok());
  Pod pod, next;
  {
    const StationInVlan station(third_, 100, "10.9.7.1", "fd00:9::2");
    const auto addresses = Attach(pod);
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    EXPECT_EQ(addresses->ip, "10.9.7.1");
    EXPECT_EQ(addresses->additional_ips.front(), "fd00:9::2");
    EXPECT_EQ(Duplicates("10.9.7.0/24"), 0);
    EXPECT_EQ(Duplicates("fd00:9::/64"), 0);
  }
  // VLAN 0 is none: such a tag has a priority only (IEEE 802.1Q).
  const StationInVlan station(third_, 0, "10.9.7.2", "fd00:9::fff");
  ASSERT_TRUE(Attach(next).ok());
  EXPECT_EQ(Duplicates("10.9.7.0/24"), 1);
}

// An attach of a pod on a thread of its own, from the moment that it asks.
class SlowAttach {
 public:
  SlowAttach(TestHost& node, PodNetwork& network)
      : node_("/proc/self/fd/" + std::to_string(node.netns_fd())),
        thread_([this, &network] {
          node_.Run([&] { result_ = network.Attach(pod_.Request()); });
        }) {}
  ~SlowAttach() {
    if (thread_.joinable()) thread_.join();
  }

  Pod& pod() { return pod_; }
  const absl::StatusOr<PodAddresses>& Await() {
    thread_.join();
    return result_;
  }

 private:
  TestHost node_;
  Pod pod_;
  absl::StatusOr<PodAddresses> result_;
  std::thread thread_;
};

TEST_F(DuplicateProbeTest, NobodyWaitsUntilItHasAsked) {
  const std::string pool = "10.9.7.0/24";
  // Two of three are the station's, the third is another link's: to look for
  // one that is free takes some seconds.
  for (const int n : {4, 7, 10, 13}) Hold("10.9.7." + std::to_string(n));
  for (int round = 0;; ++round) {
    ASSERT_LT(round, 10) << "somebody waited each time";
    // With the same addresses as before.
    network_.reset();
    std::filesystem::remove_all(options_.ipam_dir);
    ASSERT_TRUE(Start().ok());
    Pod first;
    ASSERT_TRUE(Attach(first).ok());
    const int before = Duplicates(pool);
    const Station station(third_, 2,
                          [](size_t n) { return n < 15 && n % 3 != 0; });
    Stopwatch since_first;
    SlowAttach slow(node_, *network_);
    ASSERT_TRUE(Eventually([&] {
      const Stopwatch now;
      if (Duplicates(pool) > before) return true;
      since_first = now;
      return false;
    }));
    // Takes PoolNetwork's mutex_, which an attach shares, exclusively, as a
    // change of devices does, and is quick: the range is configured.
    EXPECT_TRUE(network_->SetPodCidr("10.9.8.0/24").ok());
    EXPECT_TRUE(network_->Detach(first.id).ok());
    const double waited = since_first.Seconds();
    const auto addresses = slow.Await();
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    // A station that the machine kept waiting has answered too late. Eight more
    // answers, each to the second question, take 0.8 s.
    if (waited < 0.8 && Duplicates(pool) >= before + 9) {
      EXPECT_TRUE(Reaches(node_, slow.pod().host, addresses->ip));
      return;
    }
    ASSERT_TRUE(network_->Detach(slow.pod().id).ok());
  }
}

TEST_F(DuplicateProbeTest, AnAddressThatWasSweptMeanwhileIsClaimedAnew) {
  ASSERT_TRUE(Start().ok());
  const auto in_use = [this] { return Addresses("10.9.7.0/24", "in_use"); };
  for (int round = 0;; ++round) {
    ASSERT_LT(round, 20) << "an attach was never in the middle";
    Stopwatch since_free;
    SlowAttach slow(node_, *network_);
    ASSERT_TRUE(Eventually([&] {
      const Stopwatch now;
      if (in_use() == 1) return true;
      since_free = now;
      return false;
    }));
    // No such pod is known.
    ASSERT_TRUE(network_->Reconcile({}).ok());
    // It asks for 0.3 s at least.
    const bool in_time = since_free.Seconds() < 0.3;
    const auto addresses = slow.Await();
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    if (in_time) {
      EXPECT_EQ(in_use(), 1);
      EXPECT_EQ(Addresses("fd00:9::/64", "in_use"), 1);
      return;
    }
    ASSERT_TRUE(network_->Detach(slow.pod().id).ok());
  }
}

TEST_F(DuplicateProbeTest, AStationThatAnswersForAllEmptiesNoRange) {
  ASSERT_TRUE(Start().ok());
  const Station station(third_, 1, [](size_t) { return true; });
  for (int pods = 1; pods <= 2; ++pods) {
    Pod pod;
    const auto addresses = Attach(pod);
    EXPECT_TRUE(absl::IsResourceExhausted(addresses.status()))
        << addresses.status();
    EXPECT_THAT(addresses.status().message(), HasSubstr("one answers for all"));
    EXPECT_EQ(Duplicates("10.9.7.0/24"), 3 * pods);
    EXPECT_EQ(Addresses("10.9.7.0/24", "cooling"), 3 * pods);
    EXPECT_EQ(Addresses("fd00:9::/64", "cooling"), 3 * pods);
    EXPECT_EQ(Addresses("10.9.7.0/24", "in_use"), 0);
  }
}

TEST_F(DuplicateProbeTest, AddressesOfLinksThatAreStillThereAreUnavailable) {
  options_.duplicate_probe = false;
  options_.range = "10.9.7.4/31";
  options_.node_address = "10.9.0.1";
  options_.cool_down = std::chrono::milliseconds(0);
  Hold("10.9.7.4");
  Hold("10.9.7.5");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = Attach(pod);
  EXPECT_TRUE(absl::IsUnavailable(addresses.status())) << addresses.status();
  EXPECT_EQ(Addresses("10.9.7.4/31", "in_use"), 0);
}

TEST_F(DuplicateProbeTest, NobodyIsAskedByDefault) {
  options_.duplicate_probe = false;
  Give("10.9.7.1/16");
  ASSERT_TRUE(Start().ok());
  Pod pod;
  const auto addresses = Attach(pod);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(addresses->ip, "10.9.7.1");
  EXPECT_EQ(Duplicates("10.9.7.0/24"), 0);
}

}  // namespace
}  // namespace pinion::network
