// Pod networks under SIGKILL, concurrency, and a parent that comes and goes.

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <atomic>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "tests/integration/network/network_bed.h"

namespace pinion::network {
namespace {

// What the child tells of a pod, in one write(2): its id and its address.
struct Report {
  char id[kIdLength + 1];
  char ip[16];
};

// A daemon that attaches pods, each in a namespace of its own, and detaches
// every third one, until it is killed. It begins in the node's namespace.
[[noreturn]] void AttachUntilKilled(const Options& options, int reports) {
  const auto registry = metrics::Registry::Create();
  auto network = NewPodNetwork(options, *registry);
  if (!network.ok()) _exit(1);
  for (int i = 0;; ++i) {
    if (unshare(CLONE_NEWNET) != 0) _exit(2);
    const os::UniqueFd netns(
        open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    const os::UniqueFd route(
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    const std::string id = NewId();
    const auto addresses = (*network)->Attach({id, netns.get(), route.get()});
    if (!addresses.ok()) _exit(3);
    if (i % 3 == 0) {
      if (!(*network)->Detach(id).ok()) _exit(4);
      continue;
    }
    Report report{};
    id.copy(report.id, sizeof(report.id) - 1);
    addresses->ip.copy(report.ip, sizeof(report.ip) - 1);
    if (write(reports, &report, sizeof(report)) != sizeof(report)) _exit(5);
    if (i > 150) pause();
  }
}

class NetworkFaultsTest : public NetworkTest {
 protected:
  NetworkFaultsTest() {
    options_.range = "10.7.1.0/24";
    options_.cool_down = std::chrono::milliseconds(0);
  }
};

TEST_F(NetworkFaultsTest, SigkillDuringAttachLosesAndLeaksNothing) {
  constexpr int kRounds = 12;
  std::minstd_rand random(20261121);
  for (int round = 0; round < kRounds; ++round) {
    network_.reset();  // one daemon at a time
    int reports[2];
    ASSERT_EQ(pipe2(reports, O_CLOEXEC), 0);
    pid_t child = -1;
    node_.Run([&] {
      child = fork();
      if (child == 0) AttachUntilKilled(options_, reports[1]);
    });
    ASSERT_GT(child, 0);
    close(reports[1]);
    std::vector<KnownPod> known;
    const auto next = [&] {
      Report report{};
      if (read(reports[0], &report, sizeof(report)) != sizeof(report)) {
        return false;
      }
      known.push_back({report.id, {report.ip}});
      return true;
    };
    ASSERT_TRUE(next()) << "the daemon ended by itself";
    // At a random instant of its work.
    poll(nullptr, 0, static_cast<int>(random() % 8));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    while (next()) {
    }
    close(reports[0]);

    // The next daemon; its records have what was reported.
    ASSERT_TRUE(Start().ok());
    ASSERT_TRUE(network_->Reconcile(known).ok());
    EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"),
              static_cast<int>(known.size()));
    for (const KnownPod& pod : known) {
      ASSERT_TRUE(network_->Detach(pod.pod_id).ok());
    }
    EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
    Pod pod;
    const auto addresses = network_->Attach(pod.Request());
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
    ASSERT_TRUE(network_->Detach(pod.id).ok());
  }
  // Every address can still be had.
  std::set<std::string> all;
  for (int i = 0; i < 253; ++i) {
    Pod pod;
    const auto addresses = network_->Attach(pod.Request());
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    all.insert(addresses->ip);
  }
  EXPECT_EQ(all.size(), 253u);
}

TEST_F(NetworkFaultsTest, AttachesRunAtTheSameTime) {
  constexpr int kThreads = 12;
  constexpr int kPods = 12;
  ASSERT_TRUE(Start().ok());
  std::mutex mutex;
  std::set<std::string> ips;
  std::set<std::string> macs;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      // All at once on the node, so that each address is in use.
      std::vector<std::unique_ptr<Pod>> pods;
      for (int i = 0; i < kPods; ++i) {
        pods.push_back(std::make_unique<Pod>());
        const auto addresses = network_->Attach(pods.back()->Request());
        ASSERT_TRUE(addresses.ok()) << addresses.status();
        EXPECT_TRUE(network_->GetReadiness().ready);
        const std::lock_guard lock(mutex);
        ips.insert(addresses->ip);
        macs.insert(addresses->mac);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ips.size(), static_cast<size_t>(kThreads * kPods));
  EXPECT_EQ(macs.size(), ips.size());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), kThreads * kPods);
  ASSERT_TRUE(network_->Reconcile({}).ok());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
}

TEST_F(NetworkFaultsTest, AParentThatGoesAwayInMidAttachLeaksNoAddress) {
  node_.Shell("ip link add lan0 type veth peer name lan1");
  options_.parent = "lan0";
  ASSERT_TRUE(Start().ok());
  std::atomic<bool> stop = false;
  std::thread breaker([&] {
    while (!stop) {
      node_.Shell(
          "ip link add lan0 type veth peer name lan1 2>/dev/null; "
          "ip link set lan1 up && ip link set lan0 up && sleep 0.02; "
          "ip link delete lan0");
    }
  });
  std::atomic<int> attached = 0;
  std::atomic<int> refused = 0;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 400; ++i) {
        Pod pod;
        const auto addresses = network_->Attach(pod.Request());
        if (addresses.ok()) {
          ++attached;
          if (!network_->Detach(pod.id).ok()) ++wrong;
        } else if (addresses.status().code() ==
                   absl::StatusCode::kResourceExhausted) {
          ++wrong;
        } else {
          ++refused;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  breaker.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
  // And in the end all is well again.
  node_.Shell(
      "ip link add lan0 type veth peer name lan1; ip link set lan1 up && ip "
      "link set lan0 up");
  ASSERT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }))
      << network_->GetReadiness().message;
  Pod pod;
  const auto addresses = network_->Attach(pod.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
}

}  // namespace
}  // namespace pinion::network
