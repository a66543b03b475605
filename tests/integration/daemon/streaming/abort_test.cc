// Sessions of exec, attach and port-forward aborted at random points leave
// the daemon and the monitor as they were.
//
// PINION_ABORTED_EXECS is how many execs (500); attaches and port-forwards
// are a tenth of it each. docs/performance.md has the figures of 10,000.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/integration/daemon/streaming/rude_client.h"
#include "tests/support/daemon_bed.h"
#include "tests/support/eventually.h"
#include "tests/support/footprint.h"
#include "tests/support/invariant_processes.h"

namespace pinion::testing {
namespace {

namespace fs = std::filesystem;
namespace cri = ::runtime::v1;
using testing_support::Eventually;
using testing_support::Footprint;
using testing_support::MeasureFootprint;

constexpr uint32_t kSeed = 20261122;
constexpr int kThreads = 8;
constexpr int kPort = 8080;
// gRPC keeps one to four threads that wait for calls.
constexpr size_t kGrpcPollers = 3;
// What calls at once make for themselves may be kept, so not every round must
// add nothing; but the last one must, and all together only a little.
constexpr int kRounds = 3;
constexpr size_t kKeptDescriptors = 2;
// What the allocators keep does not grow with the sessions' number.
constexpr long kDaemonKib = 4096;
constexpr long kMonitorKib = 64;

// Whether nothing was added to `before`, but so many descriptors and so much
// memory. A process that has ended, without any, is no answer.
bool IsWithin(const Footprint& now, const Footprint& before, size_t descriptors,
              long kib) {
  return now.descriptors > 0 &&
         now.descriptors <= before.descriptors + descriptors &&
         now.children <= before.children && now.pss_kib <= before.pss_kib + kib;
}

// Once it is the same at several looks in a row: sessions end behind their
// clients.
Footprint AtRest(pid_t pid) {
  Footprint last = MeasureFootprint(pid);
  int same = 0;
  (void)Eventually([&] {
    const Footprint now = MeasureFootprint(pid);
    const bool is_same =
        now.descriptors == last.descriptors && now.children == last.children;
    same = is_same ? same + 1 : 0;
    last = now;
    return same >= 20;
  });
  return last;
}

int Execs() {
  const char* text = std::getenv("PINION_ABORTED_EXECS");
  return text != nullptr ? std::atoi(text) : 500;
}

class AbortTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const cri::PodSandboxConfig pod = bed_.PodConfig("abort");
    targets_.client = &bed_.client();
    targets_.pod = bed_.RunPod(pod);
    targets_.port = kPort;
    targets_.unused_urls = &unused_urls_;
    // Whatever the execs leave to PID 1 is reaped.
    const std::string serve = absl::StrCat(
        "mkdir -p /w; head -c 300000 /dev/zero >/w/index.html; "
        "httpd -p 127.0.0.1:",
        kPort, " -h /w; while :; do sleep 100000; done");
    targets_.container = bed_.RunContainer(
        targets_.pod, pod, bed_.ContainerConfig("app", {"sh", "-c", serve}));
    // Goes on for ever, slowly enough for the log.
    cri::ContainerConfig talker = bed_.ContainerConfig(
        "talker", {"sh", "-c",
                   "cat >/dev/null <&0 & "
                   "while :; do seq 1 2000; sleep 0.1; done"});
    talker.set_stdin(true);
    talker.clear_log_path();
    targets_.talker = bed_.RunContainer(targets_.pod, pod, talker);
    Inspect();
  }

  void Inspect() {
    cri::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(targets_.pod);
    request.set_verbose(true);
    cri::PodSandboxStatusResponse response;
    ASSERT_TRUE(bed_.client().Call(request, &response).ok());
    const auto info = nlohmann::json::parse(response.info().at("info"));
    monitor_ = info.at("pid").get<pid_t>();
    const std::string unified = "/sys/fs/cgroup/unified";
    cgroup_ = (fs::exists(unified) ? unified : "/sys/fs/cgroup") +
              info.at("cgroup").get<std::string>();
  }

  // What is in the container's cgroup: each exec's cgroup, and each process
  // by its command line.
  std::multiset<std::string> InContainer() const {
    std::multiset<std::string> found;
    // Cgroups go while they are looked at.
    std::error_code gone;
    for (fs::recursive_directory_iterator entry(cgroup_, gone), end;
         entry != end; entry.increment(gone)) {
      const fs::path path = entry->path();
      if (path.string().find(targets_.container) == std::string::npos) continue;
      if (entry->is_directory(gone)) found.insert(path);
      if (path.filename() != "cgroup.procs") continue;
      std::ifstream file(path);
      for (pid_t pid = 0; file >> pid;) {
        found.insert(testing_support::CommandLine(pid));
      }
    }
    return found;
  }

  void Abort(int execs, uint32_t seed) {
    std::vector<std::unique_ptr<RudeClient>> clients;
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < kThreads; ++t) {
      clients.push_back(std::make_unique<RudeClient>(targets_, seed + t));
      RudeClient* client = clients.back().get();
      threads.emplace_back([client, count = execs / kThreads] {
        for (int i = 0; i < count; ++i) {
          client->Run(RudeClient::Kind::kExec);
          if (i % 10 == 0) client->Run(RudeClient::Kind::kAttach);
          if (i % 10 == 5) client->Run(RudeClient::Kind::kPortForward);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    upgraded_ = 0;
    for (const auto& client : clients) {
      upgraded_ += client->upgraded();
      for (const auto& [where, count] : client->left()) left_[where] += count;
    }
  }

  struct Both {
    Footprint daemon;
    Footprint monitor;
  };

  // Whether both have no more than before the round, and only a little more
  // than at first.
  static bool Settled(const Both& now, const Both& before, const Both& first) {
    return now.daemon.threads <= before.daemon.threads + kGrpcPollers &&
           now.daemon.threads <= first.daemon.threads + 2 * kGrpcPollers &&
           IsWithin(now.daemon, before.daemon, 0, kDaemonKib) &&
           IsWithin(now.daemon, first.daemon, kKeptDescriptors,
                    2 * kDaemonKib) &&
           IsWithin(now.monitor, before.monitor, 0, kMonitorKib) &&
           IsWithin(now.monitor, first.monitor, kKeptDescriptors,
                    2 * kMonitorKib);
  }

  static void Print(const char* what, const Both& before, const Both& after) {
    std::printf("%s: daemon   %s\n%s: monitor  %s\n", what,
                Compare(before.daemon, after.daemon).c_str(), what,
                Compare(before.monitor, after.monitor).c_str());
  }

  DaemonBed bed_;
  RudeTargets targets_;
  pid_t monitor_ = 0;
  std::string cgroup_;
  std::atomic<int> unused_urls_ = 900;
  std::map<std::string, int> left_;
  int upgraded_ = 0;
};

TEST_F(AbortTest, LeavesNothing) {
  // The last thing that the container does.
  ASSERT_TRUE(
      Eventually([&] { return InContainer().count("sleep 100000") > 0; }));
  const auto idle_container = InContainer();
  // gRPC's threads and the allocator's pools are made by the first of them.
  Abort(200, kSeed);
  ASSERT_TRUE(Eventually([&] { return InContainer() == idle_container; }))
      << ::testing::PrintToString(InContainer());
  std::chrono::duration<double> took(0);
  const Both first = {AtRest(bed_.pid()), AtRest(monitor_)};
  Both after = first;
  bool as_before = false;
  for (uint32_t i = 0; i < kRounds && !as_before; ++i) {
    left_.clear();
    const Both before = after;
    const auto start = std::chrono::steady_clock::now();
    Abort(Execs(), kSeed + (i + 1) * kThreads);
    took = std::chrono::steady_clock::now() - start;
    as_before = Eventually([&] {
      after = {MeasureFootprint(bed_.pid()), MeasureFootprint(monitor_)};
      return Settled(after, before, first) && InContainer() == idle_container;
    });
    Print(absl::StrCat("round ", i + 1).c_str(), before, after);
  }
  EXPECT_TRUE(as_before);
  std::printf("%d execs, %d attaches, %d port-forwards in %.1f s\n", Execs(),
              Execs() / 10, Execs() / 10, took.count());
  Print("all", first, after);
  EXPECT_EQ(InContainer(), idle_container);
  for (const auto& [where, count] : left_) {
    std::printf("  %5d left %s\n", count, where.c_str());
  }
  // They are no refusals.
  EXPECT_GT(upgraded_, Execs() / 2);
  EXPECT_EQ(bed_.Exec(targets_.container, {"echo", "fine"}).stdout(), "fine\n");
}

}  // namespace
}  // namespace pinion::testing
