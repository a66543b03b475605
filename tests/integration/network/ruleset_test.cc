// Pinion's nf_tables rules when somebody else changes them, such as who
// reloads the node's firewall.

#include <arpa/inet.h>  // Before linux/in.h.
#include <gmock/gmock.h>
#include <linux/netfilter.h>

#include <atomic>
#include <fstream>
#include <sstream>

#include "absl/synchronization/notification.h"
#include "base/clock.h"
#include "network/ruleset_watch.h"
#include "os/reactor.h"
#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

using testing::HasSubstr;
using testing_support::AddAddress;
using testing_support::ReachesPort;

constexpr std::chrono::seconds kInVain(1);

int Count(const std::string& text, const std::string& what) {
  int count = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) {
    ++count;
  }
  return count;
}

class RulesetTest : public NetworkTest,
                    public testing::WithParamInterface<Options::Mode> {
 protected:
  static constexpr char kLine[] = "another program has changed pinion's";

  RulesetTest() {
    options_.mode = GetParam();
    options_.range = "10.7.1.0/24,fd00:7::/64";
    options_.service_cidr = "10.96.0.0/12";
    node_.Shell(
        "ip link set lo up && "
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    Connect(node_, beyond_, "wire");
    AddAddress(node_, "wire", "192.0.2.1/24");
    AddAddress(beyond_, "wire", "192.0.2.9/24");
    testing::internal::CaptureStderr();
    EXPECT_TRUE(Start().ok());
    EXPECT_TRUE(Attach(web_, 12000).ok());
    EXPECT_TRUE(network_->Attach(plain_.Request()).ok());
    KnownPod web = {web_.id, {"10.7.1.2", "fd00:7::2"}, {}};
    web.host_ports.push_back({HostPort::Protocol::kTcp, 12000, 80, ""});
    EXPECT_TRUE(
        network_->Reconcile({web, {plain_.id, {"10.7.1.3", "fd00:7::3"}, {}}})
            .ok());
  }
  ~RulesetTest() override {
    // Its reactor logs.
    network_.reset();
    if (capturing_) (void)Log();
  }

  absl::StatusOr<PodAddresses> Attach(Pod& pod, uint16_t host_port) {
    AttachRequest request = pod.Request();
    request.host_ports.push_back({HostPort::Protocol::kTcp, host_port, 80, ""});
    return network_->Attach(request);
  }

  // Once, at the end.
  std::string Log() {
    capturing_ = false;
    const std::string log = testing::internal::GetCapturedStderr();
    fputs(log.c_str(), stderr);
    return log;
  }

  // How often it was told until now; of the file that is captured to.
  int Told(const std::string& what = kLine) {
    std::ostringstream log;
    log << std::ifstream("/proc/self/fd/2").rdbuf();
    return Count(log.str(), what);
  }

  std::string Table() { return NodeLinkName(options_); }
  // Without what is counted.
  std::string Rules() { return node_.Shell("nft -s list ruleset | sort"); }
  // Another one whenever all is written again; empty: there is no such table.
  std::string Handle() {
    return node_.Shell("nft -a list table ip " + Table() +
                       " 2>/dev/null | head -1 || true");
  }

  bool capturing_ = true;
  TestHost beyond_;
  Pod web_, plain_;  // .2 and .3
};

INSTANTIATE_TEST_SUITE_P(Modes, RulesetTest, testing::ValuesIn(kModesWithPools),
                         ModeName);

TEST_P(RulesetTest, AFlushIsMendedForThePodsThatThereAre) {
  const std::string before = Rules();
  ASSERT_THAT(before, HasSubstr("12000"));
  const std::string handle = Handle();
  node_.Shell("nft flush ruleset");
  ASSERT_TRUE(Eventually([&] { return Rules() == before; })) << Rules();
  EXPECT_NE(Handle(), handle);
  // The host port, from beyond the node and on it.
  EXPECT_EQ(ReachesPort(beyond_, web_.host, "192.0.2.1", 12000, 80),
            "10.7.1.1");
  EXPECT_EQ(ReachesPort(node_, web_.host, "127.0.0.1", 12000, 80), "10.7.1.1");
  // Services, as of kube-proxy, from a pod that has no host port.
  node_.Shell(
      "nft 'table ip proxy { chain prerouting { type nat hook prerouting "
      "priority -100; ip daddr 10.96.0.10 dnat to 10.7.1.2; }; }'");
  EXPECT_EQ(ReachesPort(plain_.host, web_.host, "10.96.0.10", 80, 80),
            "10.7.1.1");
  if (GetParam() == Options::Mode::kBridge) {
    EXPECT_EQ(ReachesPort(plain_.host, beyond_, "192.0.2.9", 80, 80),
              "192.0.2.1");
    AddAddress(plain_.host, "eth0", "10.7.1.77/24");
    EXPECT_FALSE(Reaches(web_.host, plain_.host, "10.7.1.77", kInVain));
    EXPECT_TRUE(Reaches(web_.host, plain_.host, "10.7.1.3"));
  }
  EXPECT_TRUE(Eventually([&] { return Told() >= 1; }));
  network_.reset();
  const std::string log = Log();
  EXPECT_EQ(Count(log, kLine), 1);
  EXPECT_THAT(log, HasSubstr("ip " + Table() + ", ip " + Table() + "-ports"));
  EXPECT_THAT(log, HasSubstr("program=nft"));
}

// It is the next pods that another device's network is in the way of.
TEST_P(RulesetTest, PodsThatRunKeepTheirsWhileTheRangeIsUnusable) {
  const std::string before = Rules();
  node_.Shell(
      "ip link add other type veth peer name other2 && ip link set other up && "
      "ip link set other2 up && ip address add 10.7.1.129/25 dev other");
  const auto reason = [this] { return network_->GetReadiness().reason; };
  ASSERT_TRUE(Eventually([&] { return reason() == "RangeUnusable"; }));
  node_.Shell("nft flush ruleset");
  EXPECT_TRUE(Eventually([&] { return Rules() == before; })) << Rules();
  EXPECT_EQ(reason(), "RangeUnusable");
  EXPECT_EQ(ReachesPort(node_, web_.host, "127.0.0.1", 12000, 80), "10.7.1.1");
  node_.Shell("ip link delete other");
  EXPECT_TRUE(Eventually([&] { return reason() == ""; })) << reason();
  EXPECT_EQ(Rules(), before);
}

TEST_P(RulesetTest, WhateverIsDoneToOneTableIsMended) {
  const std::string before = Rules();
  // Few enough that none is answered late.
  std::vector<std::string> commands = {
      "delete table ip " + Table(),
      "delete table ip6 " + Table() + "-ports",
      "insert rule ip " + Table() + "-ports prerouting accept",
      "add table ip " + Table() + "-ports '{ flags dormant; }'",
  };
  if (GetParam() == Options::Mode::kBridge) {
    commands = {
        "delete table bridge pinion0",
        "delete element bridge pinion0 ports '{ \"pn-6e700a070103\" }'",
        "flush chain ip pinion0 postrouting",
    };
  }
  for (const std::string& command : commands) {
    const std::string handle = Handle();
    node_.Shell("nft " + command);
    EXPECT_TRUE(Eventually([&] {
      const std::string now = Handle();
      return !now.empty() && now != handle && Rules() == before;
    })) << command
        << "\n"
        << Rules();
  }
}

TEST_P(RulesetTest, PinionsOwnAndOtherTablesAreNotAnswered) {
  for (uint16_t i = 0; i < 3; ++i) {
    Pod pod;
    ASSERT_TRUE(Attach(pod, static_cast<uint16_t>(13000 + i)).ok());
    ASSERT_TRUE(network_->Detach(pod.id).ok());
  }
  // A family and a name that pinion's tables have, but not together.
  node_.Shell("nft add table inet " + Table() + " && nft delete table inet " +
              Table() +
              " && nft add table ip other && nft delete table ip "
              "other");
  // Comes later: what came before has been looked at when it is answered, and
  // is not in the log. (That is what to wait for: events of links write the
  // tables again, too.)
  node_.Shell("nft delete table ip " + Table() + "-ports");
  EXPECT_TRUE(Eventually([&] { return Told() >= 1; }));
  // And the answer is not answered: when one to what comes later is there, no
  // third has been.
  const auto has = [this](const std::string& table) {
    return Rules().find("table " + table) != std::string::npos;
  };
  ASSERT_TRUE(Eventually([&] { return has("ip " + Table() + "-ports"); }));
  // This one table only: pinion's own answers have others in them.
  const std::string later = "ip6 " + Table() + "-ports";
  node_.Shell("nft delete table " + later);
  EXPECT_TRUE(
      Eventually([&] { return Told("tables=\"" + later + "\"") >= 1; }));
  EXPECT_TRUE(Eventually([&] { return has(later); }));
  network_.reset();
  EXPECT_EQ(Count(Log(), kLine), 2);
}

// A watch of one table, of which the kernel's side is real.
class RulesetWatchTest : public testing::Test {
 protected:
  void Open(int queue_bytes) {
    host_.Run([&] {
      writer_ = os::NetlinkSocket::OpenNetfilter();
      ASSERT_TRUE(writer_.ok()) << writer_.status();
      auto watch =
          RulesetWatch::Create(*writer_, {{NFPROTO_IPV4, "mine"}}, queue_bytes);
      ASSERT_TRUE(watch.ok()) << watch.status();
      watch_ = *std::move(watch);
    });
    reactor_ = *os::Reactor::Create();
  }

  TestHost host_;
  absl::StatusOr<os::NetlinkSocket> writer_;
  std::unique_ptr<RulesetWatch> watch_;
  std::unique_ptr<os::Reactor> reactor_;
};

TEST_F(RulesetWatchTest, WhoFightsIsAnsweredAtGrowingIntervals) {
  ASSERT_NO_FATAL_FAILURE(Open(RulesetWatch::kQueueBytes));
  const auto change = [this] {
    host_.Shell("nft 'add table ip mine; delete table ip mine'");
  };
  std::atomic<int> answers = 0;
  ASSERT_TRUE(watch_
                  ->Start(reactor_.get(),
                          [&] {
                            ++answers;
                            change();
                          })
                  .ok());
  const Stopwatch stopwatch;
  change();
  EXPECT_TRUE(Eventually([&] { return answers >= 4; }));
  EXPECT_GE(stopwatch.Seconds(), 0.1 + 0.2 + 0.4);
  reactor_.reset();
}

TEST_F(RulesetWatchTest, WhatWentByUnseenCountsAsAChange) {
  // The least that there is: no room for a second message.
  ASSERT_NO_FATAL_FAILURE(Open(1));
  std::atomic<int> answers = 0;
  ASSERT_TRUE(watch_->Start(reactor_.get(), [&] { ++answers; }).ok());
  absl::Notification stands_still, changed;
  reactor_->Post([&] {
    stands_still.Notify();
    changed.WaitForNotification();
  });
  stands_still.WaitForNotification();
  host_.Shell("for i in 1 2 3 4; do nft add table ip other$i; done");
  EXPECT_EQ(answers, 0);
  changed.Notify();
  EXPECT_TRUE(Eventually([&] { return answers == 1; }));
  reactor_.reset();
}

}  // namespace
}  // namespace pinion::network
