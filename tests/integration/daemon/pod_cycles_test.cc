// Thousands of pods come and go and leave nothing: links, network namespaces,
// mounts, addresses, rules, tracked flows, neighbours, descriptors, memory.
//
// PINION_POD_CYCLES is how many pods (400), half of them with one family, half
// with both. docs/performance.md has the figures of 10,000.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "network/mac.h"
#include "os/unique_fd.h"
#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"
#include "tests/support/footprint.h"
#include "tests/support/invariant.h"
#include "tests/support/run_program.h"

namespace pinion::testing {
namespace {

namespace cri = ::runtime::v1;
using testing_support::Footprint;
using testing_support::MeasureFootprint;

constexpr int kThreads = 4;
// What gRPC and the allocator keep is there after so many.
constexpr int kWarmUp = 120;
constexpr int kKills = 8;
constexpr long kRssSlackKib = 4096;
// What calls at once make for themselves may be kept, so not every round must
// add nothing; but the last one must, and all together only a little.
constexpr int kRounds = 3;
constexpr size_t kKeptDescriptors = 2;
constexpr char kTrackedFlows[] = "/proc/sys/net/netfilter/nf_conntrack_count";

// Whether nothing was added to `before`, but so many descriptors and so much
// memory. A process that has ended, without any, is no answer.
bool IsWithin(const Footprint& now, const Footprint& before, size_t descriptors,
              long kib) {
  return now.descriptors > 0 &&
         now.descriptors <= before.descriptors + descriptors &&
         now.children <= before.children && now.rss_kib <= before.rss_kib + kib;
}

// Once it is the same at several looks in a row: the warm pool's namespaces
// are made anew behind the last pod.
Footprint AtRest(pid_t pid) {
  Footprint last = MeasureFootprint(pid);
  int same = 0;
  (void)testing_support::Eventually([&] {
    const Footprint now = MeasureFootprint(pid);
    const bool is_same =
        now.descriptors == last.descriptors && now.children == last.children;
    same = is_same ? same + 1 : 0;
    last = now;
    return same >= 20;
  });
  return last;
}

int Cycles() {
  const char* text = std::getenv("PINION_POD_CYCLES");
  return text != nullptr ? std::atoi(text) : 400;
}

std::vector<std::string> Lines(const std::string& command) {
  const Outcome outcome = RunProgram({"sh", "-c", command});
  EXPECT_EQ(outcome.exit_code, 0) << command << ": " << outcome.output;
  return absl::StrSplit(outcome.output, '\n', absl::SkipEmpty());
}

long NumberIn(const std::string& path) {
  long number = -1;
  std::ifstream(path) >> number;
  return number;
}

// Of the whole machine, others' included; -1 if the kernel does not tell.
long NetworkNamespaces() {
  std::ifstream file("/proc/slabinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("net_namespace ", 0) == 0) {
      return std::atol(line.c_str() + sizeof("net_namespace"));
    }
  }
  return -1;
}

// One datagram to a port of the node, as any client's.
void SendTo(const std::string& address, uint16_t port) {
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  const os::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(sendto(fd.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to),
                   sizeof(to)),
            1);
}

class PodCyclesTest : public ::testing::TestWithParam<const char*> {
 protected:
  // The daemon's parent device is a cable of this network namespace, so that
  // pods are announced as on a real one; few enough addresses that each is
  // used again and again.
  PodCyclesTest() {
    Lines(
        "ip link add lan0 type veth peer name lan1 && "
        "ip link set lan0 addrgenmode none up && "
        "ip link set lan1 addrgenmode none up");
    bed_ = std::make_unique<DaemonBed>(
        "parent = \"lan0\"\ncool_down = \"0s\"\n"
        "service_cidr = \"10.96.0.0/12\"\n",
        GetParam());
  }
  ~PodCyclesTest() override {
    bed_.reset();
    Lines(
        "ip link delete lan0; ip link delete pinion-host 2>/dev/null; "
        "nft flush ruleset");
  }

  static uint16_t HostPort(int thread) {
    return static_cast<uint16_t>(20000 + thread);
  }

  cri::PodSandboxConfig PodConfig(const std::string& name,
                                  uint16_t host_port) const {
    cri::PodSandboxConfig config = bed_->PodConfig(name);
    for (const cri::Protocol protocol : {cri::TCP, cri::UDP}) {
      if (host_port == 0) break;
      auto* mapping = config.add_port_mappings();
      mapping->set_protocol(protocol);
      mapping->set_container_port(80);
      mapping->set_host_port(host_port);
    }
    return config;
  }

  // Pods with a host port, until the daemon is killed; nothing else may end it.
  void CycleUntilKilled(int thread, int round) {
    const auto ended = [this](const absl::Status& status) {
      if (status.ok()) return false;
      EXPECT_TRUE(killed_) << status;
      return true;
    };
    for (int i = 0;; ++i) {
      cri::RunPodSandboxRequest run;
      *run.mutable_config() = PodConfig(
          absl::StrCat("kill-", round, "-", thread, "-", i), HostPort(thread));
      cri::RunPodSandboxResponse pod;
      if (ended(bed_->client().Call(run, &pod))) return;
      ++started_;
      SendTo("127.0.0.1", HostPort(thread));
      if (ended(bed_->StopPod(pod.pod_sandbox_id()))) return;
      if (ended(bed_->RemovePod(pod.pod_sandbox_id()))) return;
    }
  }

  void Cycle(int thread, int i) {
    const uint16_t port = HostPort(thread);
    const bool has_ports = i % 3 == 0;
    const cri::PodSandboxConfig config =
        PodConfig(absl::StrCat("cycle-", thread, "-", i), has_ports ? port : 0);
    const std::string pod = bed_->RunPod(config);
    if (has_ports) {
      SendTo("127.0.0.1", port);
      SendTo("10.88.0.1", port);
      EXPECT_GT(NumberIn(kTrackedFlows), 0);
    }
    if (i % 16 == 5) {
      bed_->RunContainer(pod, config,
                         bed_->ContainerConfig("app", {"sleep", "1000"}));
    }
    const absl::Status stopped = bed_->StopPod(pod);
    EXPECT_TRUE(stopped.ok()) << stopped;
    const absl::Status removed = bed_->RemovePod(pod);
    EXPECT_TRUE(removed.ok()) << removed;
  }

  void Run(int cycles) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([this, t, count = cycles / kThreads] {
        for (int i = 0; i < count && !HasFailure(); ++i) Cycle(t, i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  // What the pods could leave on the node; the bed itself looks at mounts,
  // cgroups, links, network namespaces, addresses of pools, files, monitors.
  static testing_support::InvariantOptions Node() {
    testing_support::InvariantOptions what;
    what.extra["rule"] = [] { return Lines("nft list ruleset"); };
    what.extra["link"] = [] { return Lines("ip -d link"); };
    what.extra["route"] = [] {
      return Lines("ip -4 route list table all; ip -6 route list table all");
    };
    what.extra["local address"] = [] { return Lines("ip -o address"); };
    // No more than now; those of now may end by themselves.
    what.extra["tracked flows"] = [most = NumberIn(kTrackedFlows)] {
      const long now = NumberIn(kTrackedFlows);
      return now <= most ? std::vector<std::string>()
                         : std::vector<std::string>{std::to_string(now)};
    };
    what.extra["setting"] = [] {
      return std::vector<std::string>{std::to_string(
          NumberIn("/proc/sys/net/ipv4/conf/pinion-host/route_localnet"))};
    };
    return what;
  }

  // The kernel keeps those it learned until it needs their room; they are
  // right also for the address's next pod, whose MAC is the same.
  static void ExpectNeighboursAreRight() {
    for (const std::string& line : Lines("ip -4 neigh show dev pinion-host")) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (words.size() < 3 || words[1] != "lladdr") continue;
      const auto address = ipam::IpAddress::Parse(words[0]);
      ASSERT_TRUE(address.ok()) << line;
      EXPECT_EQ(words[2], network::MacToString(network::MacFor(*address)));
    }
  }

  std::unique_ptr<DaemonBed> bed_;
  std::atomic<int> started_ = 0;  // by CycleUntilKilled
  std::atomic<bool> killed_ = false;
};

TEST_P(PodCyclesTest, LeaveTheNodeAsItWas) {
  Run(kWarmUp);
  const auto what = Node();
  const auto before = testing_support::TakeSnapshot(what);
  const long namespaces = NetworkNamespaces();

  const int cycles = Cycles() / 2;
  std::chrono::duration<double> took(0);
  const Footprint first = AtRest(bed_->pid());
  Footprint after = first;
  bool as_before = false;
  for (int i = 0; i < kRounds && !as_before && !HasFailure(); ++i) {
    const Footprint daemon = after;
    const auto start = std::chrono::steady_clock::now();
    Run(cycles);
    took = std::chrono::steady_clock::now() - start;
    as_before = testing_support::Eventually([&] {
      after = MeasureFootprint(bed_->pid());
      return IsWithin(after, daemon, 0, kRssSlackKib) &&
             IsWithin(after, first, kKeptDescriptors, 2 * kRssSlackKib);
    });
    std::printf("round %d: %s\n", i + 1, Compare(daemon, after).c_str());
  }
  EXPECT_TRUE(as_before) << Compare(first, after);
  EXPECT_EQ(testing_support::AwaitBaseline(before, what), "");
  ExpectNeighboursAreRight();
  // One more per pod would be a leak; other programs have theirs.
  long namespaces_after = 0;
  EXPECT_TRUE(testing_support::Eventually([&] {
    namespaces_after = NetworkNamespaces();
    return namespaces_after <= namespaces + std::max(64, cycles / 4);
  })) << namespaces
      << " → " << namespaces_after;
  std::printf("%s: %d pods in %.1f s; %s; network namespaces %ld → %ld\n",
              GetParam(), cycles, took.count(), Compare(first, after).c_str(),
              namespaces, namespaces_after);
}

// SIGKILL at random moments while pods with host ports come and go (design:
// faults.md, 2): what was listed is removed, and nothing else is left.
TEST_P(PodCyclesTest, SigkillLeavesNoRuleAndNoAddress) {
  Run(kThreads);
  const auto what = Node();
  const auto before = testing_support::TakeSnapshot(what);
  std::minstd_rand random(20261122);
  for (int round = 0; round < kKills; ++round) {
    started_ = 0;
    killed_ = false;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([this, t, round] { CycleUntilKilled(t, round); });
    }
    EXPECT_TRUE(
        testing_support::Eventually([this] { return started_ >= kThreads; }));
    // Anywhere in a pod's life.
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 30));
    killed_ = true;
    bed_->Kill();
    for (std::thread& thread : threads) thread.join();
    bed_->Start();
    bed_->RemoveAll();
    EXPECT_EQ(testing_support::AwaitBaseline(before, what), "") << round;
  }
  Run(kThreads);
  EXPECT_EQ(testing_support::AwaitBaseline(before, what), "");
}

INSTANTIATE_TEST_SUITE_P(Ranges, PodCyclesTest,
                         ::testing::Values("10.88.0.0/25",
                                           "10.88.0.0/25,fd00:88::/112"),
                         [](const auto& param) {
                           return param.index == 0 ? "Ipv4" : "DualStack";
                         });

}  // namespace
}  // namespace pinion::testing
