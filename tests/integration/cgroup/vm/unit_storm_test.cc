// What pods cost PID 1: scopes made at once and removed at once, in numbers
// that grow. The figure is systemd's CPU time per pod; it must not grow with
// the number of pods. PINION_UNIT_STORM="27,100,270" sets the numbers.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "tests/integration/cgroup/vm/unit_bed.h"
#include "tests/support/eventually.h"

namespace pinion::cgroup {
namespace {

using testing_support::Eventually;
using testing_support::ScratchCgroup;

// utime and stime of PID 1 (single-threaded) in milliseconds; schedstat has
// the sum in nanoseconds, stat only in ticks of 10 ms.
double ManagerMs() {
  std::ifstream file("/proc/1/schedstat");
  double ns = 0;
  file >> ns;
  return ns / 1e6;
}

// What PID 1 does in a second when nobody asks it anything.
double IdleMsPerSecond() {
  const double before = ManagerMs();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  return (ManagerMs() - before) / 2;
}

// Once PID 1 is quiet for half a second: what it puts off is counted.
void AwaitQuiet() {
  double before = ManagerMs();
  for (int quiet = 0, i = 0; quiet < 5 && i < 100; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const double now = ManagerMs();
    quiet = now - before < 5 ? quiet + 1 : 0;
    before = now;
  }
}

struct Cost {
  double seconds = 0;
  double manager_ms = 0;  // per pod
};

using Pods = std::vector<std::unique_ptr<UnitPod>>;
using Call = std::function<absl::Status(UnitPod&)>;

Cost Measure(size_t pods, double idle, const std::function<void()>& work) {
  AwaitQuiet();
  const double before = ManagerMs();
  const Stopwatch watch;
  work();
  Cost cost;
  cost.seconds = watch.Seconds();
  AwaitQuiet();
  cost.manager_ms = (ManagerMs() - before - watch.Seconds() * idle) /
                    static_cast<double>(pods);
  return cost;
}

Cost AtOnce(Pods& pods, double idle, const Call& call) {
  return Measure(pods.size(), idle, [&] {
    std::atomic<int> failed = 0;
    std::vector<std::thread> threads;
    for (auto& pod : pods) {
      threads.emplace_back([&, pod = pod.get()] {
        const absl::Status status = call(*pod);
        if (!status.ok() && ++failed < 5) std::cerr << status << "\n";
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(failed, 0);
  });
}

Cost OneByOne(Pods& pods, double idle, const Call& call) {
  return Measure(pods.size(), idle, [&] {
    for (auto& pod : pods) EXPECT_TRUE(call(*pod).ok());
  });
}

std::vector<int> Sizes() {
  const char* const text = getenv("PINION_UNIT_STORM");
  std::vector<int> sizes;
  for (const auto word :
       absl::StrSplit(text != nullptr ? text : "27,100", ',')) {
    int size = 0;
    if (absl::SimpleAtoi(word, &size) && size > 0) sizes.push_back(size);
  }
  return sizes;
}

class UnitStormTest : public testing::Test {
 protected:
  Pods NewPods(int size) const {
    Pods pods;
    for (int i = 0; i < size; ++i) {
      pods.push_back(std::make_unique<UnitPod>(view_));
    }
    return pods;
  }

  // Makes and removes `size` pods: what each cost PID 1, in milliseconds. And
  // kFew beside them, one after the other: what the others' being there costs.
  double Storm(int size) {
    const Call make = [&](UnitPod& pod) {
      pod.path = driver_->PathOf(pod.id, "pntest-storm.slice");
      return driver_->Create(pod.id, "pntest-storm.slice", "pod storm/pod",
                             pod.monitor.pid());
    };
    const Call remove = [&](UnitPod& pod) {
      return driver_->Remove(pod.id, pod.path);
    };
    Pods pods = NewPods(size);
    Pods few = NewPods(kFew);
    const Cost made = AtOnce(pods, idle_, make);
    for (const auto& pod : pods) EXPECT_TRUE(view_.Exists(pod->path));
    const Cost few_made = OneByOne(few, idle_, make);
    const Cost few_removed = OneByOne(few, idle_, remove);
    const Cost removed = AtOnce(pods, idle_, remove);
    for (const auto& pod : pods) EXPECT_FALSE(view_.Exists(pod->path));
    std::printf("%4d  %7.2f  %12.2f  %10.2f  %12.2f  %12.2f  %12.2f\n", size,
                made.seconds, made.manager_ms, removed.seconds,
                removed.manager_ms, few_made.manager_ms,
                few_removed.manager_ms);
    std::fflush(stdout);
    return made.manager_ms + removed.manager_ms;
  }

  // What a pod costs PID 1 among the most pods, against among the least: not
  // less than `limit` only if it is so each time.
  double Growth(double limit) {
    AwaitQuiet();
    idle_ = IdleMsPerSecond();
    std::printf("PID 1 with nothing to do: %.2f ms a second\n", idle_);
    std::printf(
        "pods   made s  PID 1 ms/pod   removed s  PID 1 ms/pod  "
        " one by one: made       removed\n");
    double first = 0;
    double last = 0;
    const std::vector<int> sizes = Sizes();
    for (const int size : sizes) {
      // The better of two: in emulation a busy host counts as PID 1's time.
      last = Storm(size);
      last = std::min(last, Storm(size));
      if (first == 0) first = last;
    }
    // Again where it may have been a busy host; what grows does so each time.
    for (int i = 0; i < 3 && last / first >= limit; ++i) {
      last = std::min(last, Storm(sizes.back()));
    }
    std::printf("PID 1 per pod, the most pods against the least: %.2f x\n",
                last / first);
    return last / first;
  }

  static constexpr int kFew = 10;
  const ScratchCgroup view_;
  const std::unique_ptr<PodCgroupDriver> driver_ =
      // What it costs, not how long it takes where everything is slow.
      NewDriver(kDirect, {.job = std::chrono::minutes(5)});
  double idle_ = 0;
};

TEST_F(UnitStormTest, APodCostsTheManagerTheSameHoweverMany) {
  static constexpr double kLimit = 3;
  // 1.2 to 1.5 for 100 against 27 here, where a busy host counts, too; it was
  // 3.7 when systemd was asked about each job every second. What a pod asks of
  // it is counted, on any machine, in sd_bus_test.cc.
  EXPECT_LT(Growth(kLimit), kLimit);
  EXPECT_TRUE(Eventually([] {
    return Shell("systemctl list-units --all --no-legend 'pinion-*.scope'")
        .empty();
  }));
}

}  // namespace
}  // namespace pinion::cgroup
