// Limits measured by what the processes get, not by what the files say: CPU
// quotas of a container and of a slice, and a slice's MemoryMax over the pods
// in it. PINION_QUOTA_SECONDS sets how long a quota is measured (10).

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "base/clock.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/stat_files.h"
#include "tests/integration/cgroup/vm/unit_bed.h"
#include "tests/support/eventually.h"

namespace pinion::cgroup {
namespace {

using testing_support::Child;
using testing_support::Eventually;
using testing_support::ScratchCgroup;

constexpr uint64_t kMiB = uint64_t{1} << 20;

[[noreturn]] void Burn() {
  // A loop without an effect could be taken for one that ends.
  while (true) asm volatile("");
}

// Touches `mib`, then waits to be killed.
int Hold(uint64_t mib) {
  char* const memory =
      static_cast<char*>(mmap(nullptr, mib * kMiB, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) return 1;
  for (uint64_t at = 0; at < mib * kMiB; at += 4096) memory[at] = 1;
  pause();
  return 2;
}

class SliceLimitsTest : public testing::Test {
 protected:
  struct Running {
    UnitPod pod;
    std::vector<Child> processes;
    std::string leaf() const { return pod.path + "/" + pod.leaf; }
  };

  // A pod in `slice` with a container that runs `body` `count` times.
  std::unique_ptr<Running> Start(const std::string& slice,
                                 const state::Resources& limits,
                                 const std::function<int()>& body,
                                 int count = 1) {
    std::unique_ptr<Running> running(new Running{UnitPod(view_), {}});
    UnitPod& pod = running->pod;
    pod.path = driver_->PathOf(pod.id, slice);
    const absl::Status made =
        driver_->Create(pod.id, slice, "limits", pod.monitor.pid());
    EXPECT_TRUE(made.ok()) << made;
    const auto leaf = leaves_.Create(pod.path, pod.leaf, limits);
    EXPECT_TRUE(leaf.ok()) << leaf.status();
    for (int i = 0; leaf.ok() && i < count; ++i) {
      running->processes.emplace_back(body, leaf->get());
    }
    return running;
  }
  void Stop(const Running& running) {
    EXPECT_TRUE(driver_->Remove(running.pod.id, running.pod.path).ok());
  }

  CpuStat Cpu(const std::string& path) const {
    return ParseCpuStat(view_.Read(path + "/cpu.stat"));
  }
  uint64_t Event(const std::string& path, const std::string& name) const {
    const std::string text = "\n" + view_.Read(path + "/memory.events.local");
    const size_t at = text.find("\n" + name + " ");
    uint64_t count = 0;
    if (at != std::string::npos) {
      (void)absl::SimpleAtoi(
          text.substr(at + name.size() + 2,
                      text.find('\n', at + 1) - at - name.size() - 2),
          &count);
    }
    return count;
  }

  // What a cgroup got of one CPU between two looks.
  struct Got {
    double percent = 0;
    // Part of the periods in which the quota was used up.
    double held_back = 0;

    bool Holds() const {
      // The periods in which it was not used up count as if nothing had run. A
      // timer that comes late, in emulation, makes a period longer.
      return held_back > 0.5 && percent < 52 && percent > 50 * held_back - 4;
    }
  };
  static Got Share(const char* what, const CpuStat& before,
                   const CpuStat& after, double seconds) {
    const auto held_back = static_cast<double>(*after.throttled_periods -
                                               *before.throttled_periods);
    const auto periods = static_cast<double>(*after.periods - *before.periods);
    // In the kernel's own periods of 100 ms, which are read with the usage: a
    // clock is read sooner or later.
    const Got got = {
        static_cast<double>(*after.usage_us - *before.usage_us) / 1e3 / periods,
        held_back / periods};
    std::printf(
        "%s: %.2f %% of a CPU over %.1f s, held back in %.0f of %.0f "
        "periods\n",
        what, got.percent, seconds, held_back, periods);
    std::fflush(stdout);
    return got;
  }

  ScratchCgroup view_;
  ContainerCgroups leaves_{*FindHierarchy(), MissingControllers::kRefuse};
  std::unique_ptr<PodCgroupDriver> driver_ = NewDriver(kDirect);
};

TEST_F(SliceLimitsTest, HalfACpuIsHalfACpuForAContainerAndForASlice) {
  static constexpr char kSlice[] = "/pntest.slice/pntest-half.slice";
  const auto burn = [] {
    Burn();
    return 0;
  };
  state::Resources half;
  half.set_cpu_period_us(100'000);
  half.set_cpu_quota_us(50'000);
  const auto alone = Start("pntest-cpu.slice", half, burn);
  const auto a = Start("pntest-half.slice", {}, burn, 2);
  const auto b = Start("pntest-half.slice", {}, burn, 1);
  ASSERT_EQ(Shell("systemctl set-property --runtime pntest-half.slice "
                  "CPUQuota=50%"),
            "");
  // Share() reckons with periods of 100 ms.
  static constexpr char kHalf[] = "50000 100000";
  ASSERT_EQ(view_.Read(alone->leaf() + "/cpu.max"), kHalf);
  ASSERT_TRUE(Eventually(
      [&] { return view_.Read(std::string(kSlice) + "/cpu.max") == kHalf; }));
  const char* const text = getenv("PINION_QUOTA_SECONDS");
  const std::chrono::seconds window(text != nullptr ? atoi(text) : 10);
  Got container;
  Got slice;
  // A host that is busy takes virtual CPUs away: then it is not the quota that
  // holds the processes back, or one has had too much at once, which the kernel
  // takes back later. Again if that was so: a quota that does not hold never
  // does.
  for (int i = 0; i < 4 && !(container.Holds() && slice.Holds()); ++i) {
    // Not from the beginning: the first period is begun in its middle.
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const CpuStat before[] = {Cpu(alone->leaf()), Cpu(kSlice)};
    const Stopwatch watch;
    std::this_thread::sleep_for(window);
    const CpuStat after[] = {Cpu(alone->leaf()), Cpu(kSlice)};
    const double seconds = watch.Seconds();
    if (!container.Holds()) {
      container =
          Share("container with a quota of 50 %", before[0], after[0], seconds);
    }
    if (!slice.Holds()) {
      slice = Share("slice of two pods with CPUQuota=50%", before[1], after[1],
                    seconds);
    }
  }
  for (const Got& got : {container, slice}) {
    EXPECT_TRUE(got.Holds())
        << got.percent << " % of a CPU, held back in " << got.held_back
        << " of the periods; if in less than 0.5 of them, the host is too busy";
  }
  Stop(*alone);
  Stop(*a);
  Stop(*b);
  Shell("systemctl revert pntest-half.slice");
}

TEST_F(SliceLimitsTest, ASlicesMemoryMaxHoldsForItsPodsTogether) {
  static constexpr char kSlice[] = "/pntest.slice/pntest-memory.slice";
  // No limit of their own; each fits, both do not. The one that is killed is
  // the largest, and that is the one that asks for more.
  const auto other = Start("pntest-roomy.slice", {}, [] { return Hold(48); });
  const auto first = Start("pntest-memory.slice", {}, [] { return Hold(12); });
  const auto held = [&](const Running& one, uint64_t mib) {
    uint64_t bytes = 0;
    return absl::SimpleAtoi(view_.Read(one.leaf() + "/memory.current"),
                            &bytes) &&
           bytes >= mib * kMiB;
  };
  ASSERT_TRUE(Eventually([&] { return held(*other, 48) && held(*first, 12); }));
  ASSERT_EQ(Shell("systemctl set-property --runtime pntest-memory.slice "
                  "MemoryMax=64M MemorySwapMax=0"),
            "");
  ASSERT_TRUE(Eventually([&] {
    return view_.Read(std::string(kSlice) + "/memory.max") ==
           std::to_string(64 * kMiB);
  }));
  EXPECT_EQ(Event(kSlice, "oom"), 0U);
  const auto second = Start("pntest-memory.slice", {}, [] { return Hold(60); });
  ASSERT_TRUE(Eventually([&] { return view_.Pids(second->leaf()).empty(); }));
  EXPECT_EQ(second->processes[0].Wait(), -SIGKILL);
  uint64_t peak = 0;
  EXPECT_TRUE(absl::SimpleAtoi(view_.Read(std::string(kSlice) + "/memory.peak"),
                               &peak));
  std::printf(
      "slice, MemoryMax 64 MiB: peak %.1f MiB, %llu out of memory there\n",
      static_cast<double>(peak) / static_cast<double>(kMiB),
      static_cast<unsigned long long>(Event(kSlice, "oom")));
  // Some pages of the kernel's own cannot be refused.
  EXPECT_LE(peak, 65 * kMiB);
  // It was the slice that had no more: nobody below it, and nobody beside it.
  for (const Running* one : {first.get(), second.get(), other.get()}) {
    EXPECT_EQ(Event(one->leaf(), "oom"), 0U);
    EXPECT_EQ(Event(one->pod.path, "oom"), 0U);
  }
  EXPECT_EQ(Event("/pntest.slice", "oom"), 0U);
  EXPECT_EQ(Event("/pntest.slice/pntest-roomy.slice", "oom"), 0U);
  EXPECT_EQ(kill(first->processes[0].pid(), 0), 0);
  EXPECT_EQ(kill(other->processes[0].pid(), 0), 0);
  EXPECT_TRUE(held(*first, 12));
  EXPECT_TRUE(held(*other, 48));
  Stop(*first);
  Stop(*second);
  Stop(*other);
  Shell("systemctl revert pntest-memory.slice");
}

}  // namespace
}  // namespace pinion::cgroup
