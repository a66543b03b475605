// The systemd driver against systemd itself. Needs root, systemd as PID 1,
// dbus and systemctl.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <iostream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/protection.h"
#include "tests/integration/cgroup/vm/unit_bed.h"
#include "tests/support/child.h"
#include "tests/support/eventually.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing_support::Child;
using testing_support::Eventually;
using testing_support::ScratchCgroup;
using Pod = UnitPod;

constexpr int64_t kMiB = int64_t{1} << 20;

// False only if systemd answers, which it does not while it is re-executed.
bool IsListed(const std::string& unit) {
  const std::string list =
      Shell("systemctl list-units --all --no-legend && echo that is all");
  return list.find("that is all") == std::string::npos ||
         list.find(unit) != std::string::npos;
}

// Until systemd can be asked again.
void AwaitSystemd() {
  EXPECT_TRUE(Eventually([] { return !IsListed("no-such-unit"); }));
}

// What it says; returns when systemd can be asked again.
std::string Systemctl(const std::string& words) {
  const std::string said = Shell("systemctl " + words);
  AwaitSystemd();
  return said;
}

class SystemdDriverTest : public testing::TestWithParam<BusCase> {
 protected:
  SystemdDriverTest()
      : leaves_(*FindHierarchy(), MissingControllers::kRefuse),
        driver_(NewDriver(GetParam())) {}

  absl::Status Create(Pod& pod, const std::string& slice) {
    pod.path = driver_->PathOf(pod.id, slice);
    return driver_->Create(pod.id, slice, "pod default/test",
                           pod.monitor.pid());
  }

  static state::Resources Limits() {
    state::Resources r;
    r.set_cpu_period_us(100'000);
    r.set_cpu_quota_us(50'000);
    r.set_cpuset_cpus("1");
    r.set_memory_limit_bytes(64 * kMiB);
    (*r.mutable_unified())["memory.high"] = "32M";
    return r;
  }

  void ExpectLimits(const Pod& pod, const std::string& when) {
    EXPECT_EQ(pod.Read(pod.leaf + "/cpu.max"), "50000 100000") << when;
    EXPECT_EQ(pod.Read(pod.leaf + "/cpuset.cpus"), "1") << when;
    EXPECT_EQ(pod.Read(pod.leaf + "/cpuset.cpus.effective"), "1") << when;
    EXPECT_EQ(pod.Read(pod.leaf + "/memory.max"), std::to_string(64 * kMiB))
        << when;
    EXPECT_EQ(pod.Read(pod.leaf + "/memory.high"), std::to_string(32 * kMiB))
        << when;
  }

  ScratchCgroup view_;
  ContainerCgroups leaves_;
  std::unique_ptr<PodCgroupDriver> driver_;
};

// docs/decisions/memory_protection.md: without a guard, too.
TEST_P(SystemdDriverTest, WhatAPodPromisesOutlivesAReload) {
  ContainerCgroups leaves(
      *FindHierarchy(), MissingControllers::kRefuse,
      {.keep_protection = [this](const std::string& path,
                                 const Protection& protection) {
        const absl::Status kept = driver_->KeepProtection(path, protection);
        EXPECT_TRUE(kept.ok()) << kept;
        return kept;
      }});
  Pod pod(view_);
  ASSERT_TRUE(Create(pod, "pntest-a.slice").ok());
  state::Resources r = Limits();
  (*r.mutable_unified())["memory.min"] = "8M";
  (*r.mutable_unified())["memory.low"] = "16M";
  const auto leaf = leaves.Create(pod.path, pod.leaf, r);
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  for (const char* command : {"daemon-reload", "daemon-reexec"}) {
    EXPECT_EQ(Systemctl(command), "");
    EXPECT_EQ(pod.Read("memory.min"), std::to_string(8 * kMiB)) << command;
    EXPECT_EQ(pod.Read("memory.low"), std::to_string(16 * kMiB)) << command;
    ExpectLimits(pod, command);
  }
  ASSERT_TRUE(leaves.Remove(pod.path, pod.leaf).ok());
  EXPECT_EQ(pod.Read("memory.low"), "0");
  EXPECT_EQ(Shell("systemctl daemon-reload"), "");
  EXPECT_EQ(pod.Read("memory.low"), "0");
  EXPECT_TRUE(driver_->Remove(pod.id, pod.path).ok());
}

TEST_P(SystemdDriverTest, APodIsOneUnitAndGoesWithoutATrace) {
  Pod pod(view_);
  const absl::Status made = Create(pod, "pntest-a.slice");
  ASSERT_TRUE(made.ok()) << made;
  EXPECT_EQ(pod.path, "/pntest.slice/pntest-a.slice/" + pod.Unit());
  EXPECT_THAT(view_.Pids(pod.path + "/monitor"),
              ElementsAre(pod.monitor.pid()));
  const std::string shown = Shell(
      "systemctl show -p ActiveState,Description,Slice,Delegate,TasksMax,"
      "CollectMode,MemoryLow " +
      pod.Unit());
  for (const char* line :
       {"ActiveState=active", "Description=pod default/test",
        "Slice=pntest-a.slice", "Delegate=yes", "TasksMax=infinity",
        "CollectMode=inactive-or-failed", "MemoryLow=0"}) {
    EXPECT_THAT(shown, HasSubstr(line));
  }
  EXPECT_EQ(pod.Read("cgroup.controllers"), view_.Read("/cgroup.controllers"));
  EXPECT_EQ(pod.Read("cgroup.subtree_control"),
            view_.Read("/cgroup.controllers"));
  EXPECT_THAT(*driver_->ListPods(), Contains(pod.id));

  ASSERT_TRUE(Create(pod, "pntest-a.slice").ok()) << "again";
  const auto leaf = leaves_.Create(pod.path, pod.leaf, Limits());
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  Child container = Child::Sleeper(leaf->get());

  const absl::Status removed = driver_->Remove(pod.id, pod.path);
  ASSERT_TRUE(removed.ok()) << removed;
  EXPECT_EQ(container.Wait(), -SIGKILL);
  EXPECT_EQ(pod.monitor.Wait(), -SIGKILL);
  EXPECT_FALSE(view_.Exists(pod.path));
  EXPECT_THAT(Shell("systemctl is-active " + pod.Unit()),
              HasSubstr("inactive"));
  AwaitSystemd();
  EXPECT_FALSE(IsListed(pod.Unit()));
  EXPECT_TRUE(driver_->Remove(pod.id, pod.path).ok());
  EXPECT_THAT(*driver_->ListPods(), Not(Contains(pod.id)));
}

TEST_P(SystemdDriverTest, LimitsStayWhateverSystemdDoes) {
  Pod pod(view_);
  ASSERT_TRUE(Create(pod, "pntest-b.slice").ok());
  const auto leaf = leaves_.Create(pod.path, pod.leaf, Limits());
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  Child container = Child::Sleeper(leaf->get());
  ExpectLimits(pod, "at first");
  for (const std::string& command :
       {std::string("daemon-reload"),
        "set-property --runtime " + pod.Unit() + " CPUWeight=50",
        std::string("set-property --runtime pntest-b.slice "
                    "MemoryHigh=1G"),
        std::string("daemon-reexec"), std::string("restart dbus"),
        std::string("daemon-reload")}) {
    EXPECT_EQ(Systemctl(command), "") << command;
    ExpectLimits(pod, command);
    EXPECT_EQ(pod.Read("cgroup.subtree_control"),
              view_.Read("/cgroup.controllers"))
        << command;
  }
  ASSERT_TRUE(driver_->Remove(pod.id, pod.path).ok());
}

TEST_P(SystemdDriverTest, AMonitorThatIsGoneIsAnErrorAndLeavesNothing) {
  Pod pod(view_);
  Child gone([] { return 0; });
  const pid_t pid = gone.pid();
  gone.Wait();
  const absl::Status status =
      driver_->Create(pod.id, "pntest-c.slice", "gone", pid);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(pod.Unit()));
  EXPECT_FALSE(view_.Exists(driver_->PathOf(pod.id, "pntest-c.slice")));
  AwaitSystemd();
  EXPECT_FALSE(IsListed(pod.Unit()));
}

TEST_P(SystemdDriverTest, AnEmptiedScopeGoesByItself) {
  Pod pod(view_);
  ASSERT_TRUE(Create(pod, "").ok());
  EXPECT_THAT(pod.path, HasSubstr("/pntest-default.slice/"));
  kill(pod.monitor.pid(), SIGKILL);
  pod.monitor.Wait();
  EXPECT_TRUE(driver_->Remove(pod.id, pod.path).ok());
  EXPECT_FALSE(view_.Exists(pod.path));
}

// As a kubelet does: a call that ran out of time, as it may while systemd is
// restarted again and again, is made again, and must then converge. `anew`
// comes before: a pod whose Create failed is taken back behind the caller's
// back, and the next one is another.
absl::Status Insist(const std::function<absl::Status()>& call,
                    const std::function<void()>& anew) {
  absl::Status status = call();
  for (int retry = 0; retry < 5 && absl::IsDeadlineExceeded(status); ++retry) {
    std::cerr << status << "\n";
    anew();
    status = call();
  }
  return status;
}

// Makes and removes `count` pods, each in a thread of its own.
void Storm(PodCgroupDriver& driver, const ScratchCgroup& view, int count,
           const std::string& slice) {
  std::vector<std::unique_ptr<Pod>> pods;
  for (int i = 0; i < count; ++i) pods.push_back(std::make_unique<Pod>(view));
  for (const bool make : {true, false}) {
    const Stopwatch watch;
    std::atomic<int> failed = 0;
    std::vector<std::thread> threads;
    for (auto& pod : pods) {
      threads.emplace_back([&, make, &pod = pod] {
        pod->path = driver.PathOf(pod->id, slice);
        const absl::Status status = Insist(
            [&] {
              return make ? driver.Create(pod->id, slice, "storm",
                                          pod->monitor.pid())
                          : driver.Remove(pod->id, pod->path);
            },
            [&] {
              if (!make) return;
              pod = std::make_unique<Pod>(view);
              pod->path = driver.PathOf(pod->id, slice);
            });
        if (!status.ok()) {
          ++failed;
          std::cerr << status << "\n";
        }
      });
    }
    for (auto& thread : threads) thread.join();
    std::cout << (make ? "made " : "removed ") << count << " scopes in "
              << watch.Seconds() << " s\n";
    EXPECT_EQ(failed, 0);
    for (auto& pod : pods) EXPECT_EQ(view.Exists(pod->path), make);
  }
}

TEST_P(SystemdDriverTest, FiftyPodsAtOnce) {
  Storm(*driver_, view_, 50, "pntest-storm.slice");
}

TEST_P(SystemdDriverTest, PodsAreMadeWhileSystemdAndDbusRestart) {
  std::atomic<bool> stop = false;
  std::thread shaker([&stop] {
    for (int i = 0; !stop; ++i) {
      static const char* const kCommands[] = {"systemctl daemon-reload",
                                              "systemctl daemon-reexec",
                                              "systemctl restart dbus"};
      const std::string out = Shell(kCommands[i % 3]);
      if (!out.empty()) std::cout << kCommands[i % 3] << ": " << out << "\n";
    }
  });
  for (int round = 0; round < 5; ++round) {
    Storm(*driver_, view_, 10, "pntest-shaken.slice");
  }
  stop = true;
  shaker.join();
  // Those whose Create failed are taken back behind the caller's back.
  EXPECT_TRUE(Eventually([] {
    return Shell("systemctl list-units --all --no-legend 'pinion-*.scope'")
        .empty();
  }));
}

TEST_P(SystemdDriverTest, OneAfterTheOtherTakesMilliseconds) {
  double make = 0;
  double remove = 0;
  for (int i = 0; i < 30; ++i) {
    Pod pod(view_);
    Stopwatch watch;
    ASSERT_TRUE(Create(pod, "pntest-seq.slice").ok());
    make += watch.Seconds();
    watch = Stopwatch();
    ASSERT_TRUE(driver_->Remove(pod.id, pod.path).ok());
    remove += watch.Seconds();
  }
  std::cout << "mean: create " << make / 30 * 1e3 << " ms, remove "
            << remove / 30 * 1e3 << " ms\n";
}

INSTANTIATE_TEST_SUITE_P(Connections, SystemdDriverTest,
                         testing::Values(kBus, kDirect), [](const auto& one) {
                           return std::string(one.param.name);
                         });

}  // namespace
}  // namespace pinion::cgroup
