// Pod networks under SIGKILL, concurrency, and a parent that comes and goes.

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "base/clock.h"
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

class NetworkFaultsTest : public NetworkTest,
                          public testing::WithParamInterface<Options::Mode> {
 protected:
  NetworkFaultsTest() {
    options_.mode = GetParam();
    node_.Shell("sysctl -qw net.ipv4.ip_forward=1");
    options_.range = "10.7.1.0/24";
    options_.cool_down = std::chrono::milliseconds(0);
  }
};

INSTANTIATE_TEST_SUITE_P(Modes, NetworkFaultsTest,
                         testing::ValuesIn(kModesWithPools), ModeName);

TEST_P(NetworkFaultsTest, SigkillDuringAttachLosesAndLeaksNothing) {
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
    absl::StatusOr<PodAddresses> addresses;
    // The kernel may be behind with taking former pods' links down.
    EXPECT_TRUE(Eventually([&] {
      addresses = network_->Attach(pod.Request());
      return !absl::IsUnavailable(addresses.status());
    }));
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    all.insert(addresses->ip);
  }
  EXPECT_EQ(all.size(), 253u);
}

TEST_P(NetworkFaultsTest, AttachesRunAtTheSameTime) {
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
  EXPECT_EQ(macs.size(), GetParam() == Options::Mode::kIpvlan ? 1 : ips.size());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), kThreads * kPods);
  ASSERT_TRUE(network_->Reconcile({}).ok());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
}

TEST_P(NetworkFaultsTest, AParentThatGoesAwayInMidAttachLeaksNoAddress) {
  node_.Shell("ip link add lan0 type veth peer name lan1");
  options_.parent = "lan0";
  // The bridge comes back by itself.
  const bool bridge = GetParam() == Options::Mode::kBridge;
  const std::string goes = bridge ? options_.bridge_name : options_.parent;
  const std::string comes =
      bridge ? "true"
             : "ip link add lan0 type veth peer name lan1 2>/dev/null; "
               "ip link set lan1 up && ip link set lan0 up";
  ASSERT_TRUE(Start().ok());
  std::atomic<bool> stop = false;
  std::thread breaker([&] {
    while (!stop) {
      node_.Shell(comes + " && sleep 0.02; ip link delete " + goes +
                  " 2>/dev/null; true");
    }
  });
  std::atomic<int> attached = 0;
  std::atomic<int> refused = 0;
  std::atomic<int> wrong = 0;
  // No more than it takes: each port that goes costs the kernel a grace period
  // of RCU, during which it lets nobody change any link.
  constexpr int kOfEach = 40;
  const auto enough = [&] { return attached >= kOfEach && refused >= kOfEach; };
  const Stopwatch since;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      // On, if need be, until there was one of each: two minutes at most.
      for (int i = 0; since.Seconds() < 120 && !enough(); ++i) {
        if (i >= 400 && attached > 0 && refused > 0) break;
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
  EXPECT_GT(attached, 0);
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
  // And in the end all is well again.
  node_.Shell(comes);
  Pod pod;
  absl::StatusOr<PodAddresses> addresses;
  // It says that it is ready until it hears of the last deletion.
  ASSERT_TRUE(Eventually([&] {
    addresses = network_->Attach(pod.Request());
    return addresses.ok();
  })) << addresses.status();
  EXPECT_TRUE(Reaches(node_, pod.host, addresses->ip));
  EXPECT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }))
      << network_->GetReadiness().message;
}

// A file system of its own, small enough to be filled.
class SmallTmpfs {
 public:
  explicit SmallTmpfs(const std::string& path) : path_(path) {
    std::filesystem::create_directories(path_);
    EXPECT_EQ(mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=128k"), 0);
  }
  ~SmallTmpfs() { EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0); }
  SmallTmpfs(const SmallTmpfs&) = delete;
  SmallTmpfs& operator=(const SmallTmpfs&) = delete;

  void Fill() {
    std::ofstream file(path_ + "/fill");
    for (int i = 0; i < 64 && file; ++i) {
      file << std::string(4096, 'x') << std::flush;
    }
    EXPECT_FALSE(file) << "it is not full";
  }
  void MakeRoom() { std::filesystem::remove(path_ + "/fill"); }

 private:
  const std::string path_;
};

TEST_P(NetworkFaultsTest, AFullFileSystemAtTheStartIsLookedAtAgain) {
  node_.Shell(
      "ip link add lan0 type veth peer name lan1 && "
      "ip link set lan0 up && ip link set lan1 up");
  SmallTmpfs files(options_.ipam_dir);
  options_.secondary["red"] = {.parent = "lan0", .range = "10.1.0.0/24"};
  ASSERT_TRUE(Start().ok());
  Pod kept;
  const auto addresses = network_->Attach(kept.Request());
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  network_.reset();
  // The links' own addresses come and go in silence from here on.
  node_.Shell(
      "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 "
      "net.ipv6.conf.default.disable_ipv6=1");
  for (const char* pool : {"/10.7.1.0_24", "/secondary/red/10.1.0.0_24"}) {
    ASSERT_TRUE(std::filesystem::remove(options_.ipam_dir + pool)) << pool;
  }
  files.Fill();
  ASSERT_TRUE(Start().ok());
  // Which the daemon logs.
  EXPECT_EQ(network_->Reconcile({{kept.id, {addresses->ip}}}).code(),
            absl::StatusCode::kResourceExhausted);
  const Readiness readiness = network_->GetReadiness();
  EXPECT_FALSE(readiness.ready);
  EXPECT_EQ(readiness.reason, "PoolFailed");
  EXPECT_NE(readiness.message.find("ENOSPC"), std::string::npos)
      << readiness.message;
  EXPECT_EQ(network_->GetSecondary().at(0).readiness.reason, "PoolFailed");
  Pod pod;
  EXPECT_EQ(network_->Attach(pod.Request()).status().code(),
            absl::StatusCode::kFailedPrecondition);
  // While the network looks again there is one for a moment.
  EXPECT_TRUE(Eventually([&] {
    return node_.Shell("find " + options_.ipam_dir + " -name '*.new' || true")
        .empty();
  })) << "half a pool is left";

  // Nothing tells that there is room again.
  files.MakeRoom();
  EXPECT_TRUE(Eventually([&] {
    return network_->GetReadiness().ready &&
           network_->GetSecondary().at(0).readiness.ready;
  })) << network_->GetReadiness().message;
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 1);
  const auto next = network_->Attach(pod.Request());
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_NE(next->ip, addresses->ip);
}

TEST_P(NetworkFaultsTest, PodsDetachedBeforeThePoolsAreOpenLeaveNothing) {
  ASSERT_TRUE(Start().ok());
  Pod kept, stopped, gone;
  std::vector<KnownPod> known;
  for (Pod* pod : {&kept, &stopped, &gone}) {
    const auto addresses = network_->Attach(pod->Request());
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    if (pod != &gone) known.push_back({pod->id, {addresses->ip}});
  }
  network_.reset();
  const std::string pools = options_.ipam_dir;
  std::filesystem::rename(pools, dir_ + "/away");
  std::ofstream(pools) << "no directory";
  ASSERT_TRUE(Start().ok());
  ASSERT_EQ(network_->GetReadiness().reason, "PoolFailed");
  ASSERT_TRUE(network_->Reconcile(known).ok());
  ASSERT_TRUE(network_->Detach(stopped.id).ok());
  ASSERT_TRUE(network_->Detach(gone.id).ok());
  // At once: in between, the network might make a directory of its own.
  ASSERT_EQ(renameat2(AT_FDCWD, (dir_ + "/away").c_str(), AT_FDCWD,
                      pools.c_str(), RENAME_EXCHANGE),
            0);
  ASSERT_TRUE(Eventually([&] { return network_->GetReadiness().ready; }))
      << network_->GetReadiness().message;
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 1);
  ASSERT_TRUE(network_->Detach(kept.id).ok());
  EXPECT_EQ(Addresses("10.7.1.0/24", "in_use"), 0);
}

}  // namespace
}  // namespace pinion::network
