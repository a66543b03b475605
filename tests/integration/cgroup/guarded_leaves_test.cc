// Leaves through ContainerCgroups, as the daemon does: what is guarded of them,
// and what their pod is promised, on plain files (guarded_files.h). With the
// kernel's own: vm/limits_test.cc.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/limit_files.h"
#include "runtime/cgroup/protection.h"
#include "tests/integration/cgroup/guarded_files.h"
#include "tests/support/child.h"
#include "tests/support/eventually.h"
#include "tests/support/held_file.h"

namespace pinion::cgroup {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::Child;
using testing_support::Eventually;

class LeavesTest : public GuardedFiles {
 protected:
  std::unique_ptr<ContainerCgroups> Cgroups(ContainerCgroupsOptions options = {
                                                .drift = DriftMode::kRepair}) {
    Hierarchy hierarchy;
    hierarchy.root = dir_.path();
    hierarchy.controllers = {"cpuset", "memory"};
    options.metrics = metrics_.get();
    auto cgroups = std::make_unique<ContainerCgroups>(
        hierarchy, MissingControllers::kRefuse, options);
    EXPECT_TRUE(cgroups->StartGuard().ok());
    return cgroups;
  }
  // Lets the guard hold the leaf at its memory.max, which it has raised and
  // uses. What it was asked for.
  state::Resources Hold(ContainerCgroups& cgroups) {
    Write(leaf_, "memory.max", kHigh);
    Write(leaf_, "memory.high", "90000000");
    Write(leaf_, "memory.current", "50000000");
    cgroups.GuardPod(pod_);
    state::Resources resources;
    resources.set_memory_limit_bytes(32 << 20);
    (*resources.mutable_unified())["memory.high"] = "90000000";
    cgroups.Guard(pod_, id_, resources);
    EXPECT_TRUE(Reads(leaf_, "memory.high", kHold));
    return resources;
  }
  // Until the first looks at all that is guarded so far have been.
  void AwaitFirstLooks(ContainerCgroups& cgroups) {
    const std::string id = NewId();
    const std::string leaf = absl::StrCat(pod_, "/", id);
    MakeGroup(leaf);
    Write(leaf, "memory.max", kHigh);
    Write(leaf, "memory.current", "20000000");
    state::Resources resources;
    resources.set_memory_limit_bytes(32 << 20);
    cgroups.Guard(pod_, id, resources);
    EXPECT_TRUE(Reads(leaf, "memory.max", kLow));
  }
  size_t DescriptorsOf(const std::string& path) {
    size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code error;
      const auto target = std::filesystem::read_symlink(entry, error);
      count += !error && target == dir_.path() + path ? 1 : 0;
    }
    return count;
  }
  void WriteCpuset(const std::string& path) {
    Write(path, "cpuset.cpus", "0-1");
    Write(path, "cpuset.cpus.effective", "0-1");
  }
};

TEST_F(LeavesTest, ARestartRepairsThoughCpusWereWrittenBefore) {
  WriteCpuset(leaf_);
  Write(leaf_, "memory.max", kHigh);  // changed while no daemon ran
  Write(leaf_, "memory.current", "20000000");
  Write(leaf_, "memory.oom.group", "0");
  const auto cgroups =
      Cgroups({.oom_group = true, .drift = DriftMode::kRepair});
  const CpuSet cpus = *CpuSet::Parse("0-1");
  ASSERT_TRUE(cgroups->SetCpus(pod_, id_, cpus, CpuSet()).ok());
  AwaitFirstLooks(*cgroups);
  state::Resources resources;
  resources.set_memory_limit_bytes(32 << 20);
  cgroups->Guard(pod_, id_, resources);
  EXPECT_TRUE(Reads(leaf_, "memory.max", kLow));
  EXPECT_TRUE(Reads(leaf_, "memory.oom.group", "1"));
  // What the pool writes from now on is guarded, too.
  ASSERT_TRUE(
      cgroups->SetCpus(pod_, id_, *CpuSet::Parse("1-1"), CpuSet()).ok());
  EXPECT_EQ(Child([&] {
              Write(leaf_, "cpuset.cpus", "0-1");
              return 0;
            }).Wait(),
            0);
  EXPECT_TRUE(Eventually(
      [&] { return absl::StartsWith(Read(leaf_, "cpuset.cpus"), "1"); }));
}

// The daemon was killed while memory.high held it; the record names none.
TEST_F(LeavesTest, AHoldThatWasLeftBehindEndsWithARestart) {
  Write(leaf_, "memory.high", "333");
  const auto cgroups = Cgroups();
  cgroups->Guard(pod_, id_, {});
  EXPECT_TRUE(Reads(leaf_, "memory.high", "max"));
}

TEST_F(LeavesTest, AnUpdateDoesNotLetGoOfWhatIsHeld) {
  static constexpr char kHigher[] = "80000000";
  const auto cgroups = Cgroups();
  const state::Resources resources = Hold(*cgroups);
  // All that shall be, as the daemon gives it: memory.max is as it was.
  state::Resources update = resources;
  (*update.mutable_unified())["memory.high"] = kHigher;
  const absl::Status updated = cgroups->Update(pod_, id_, update);
  ASSERT_TRUE(updated.ok()) << updated;
  EXPECT_EQ(Read(leaf_, "memory.high"), absl::StrCat(kHold, "\n"))
      << "not only when the guard sees it";
  EXPECT_TRUE(absl::StartsWith(Read(leaf_, "memory.max"), kHigh));
  Write(leaf_, "memory.current", "20000000");
  EXPECT_TRUE(Reads(leaf_, "memory.high", kHigher)) << "kept for later";
  EXPECT_THAT(metrics_->Render(), Not(HasSubstr("repairs_total{file="
                                                "\"memory.high\"}")));
}

// More than it has: nothing is to be taken back from it any more.
TEST_F(LeavesTest, AHigherMaximumEndsAHoldAtOnce) {
  for (const bool with_high : {true, false}) {
    const auto cgroups = Cgroups();
    Hold(*cgroups);
    state::Resources update;
    update.set_memory_limit_bytes(64 << 20);
    if (with_high) (*update.mutable_unified())["memory.high"] = "80000000";
    const absl::Status updated = cgroups->Update(pod_, id_, update);
    ASSERT_TRUE(updated.ok()) << updated;
    EXPECT_TRUE(absl::StartsWith(Read(leaf_, "memory.high"),
                                 with_high ? "80000000" : "90000000"));
  }
}

// Reported only: nothing holds it, and the record's memory.max is too low.
TEST_F(LeavesTest, AnUpdateLeavesAloneWhatItDoesNotTouch) {
  WriteCpuset(leaf_);
  WriteCpuset(pod_);
  Write(leaf_, "memory.max", kHigh);
  Write(leaf_, "memory.current", "50000000");
  const auto cgroups = Cgroups({.drift = DriftMode::kReport});
  state::Resources record;
  record.set_memory_limit_bytes(32 << 20);
  state::Resources update = record;
  update.set_cpuset_cpus("0-1");
  const std::set<std::string> touched = TouchedFiles(record, update, update);
  const absl::Status updated =
      cgroups->Update(pod_, id_, update, nullptr, &touched);
  EXPECT_TRUE(updated.ok()) << updated;
  EXPECT_EQ(Read(leaf_, "memory.max"), absl::StrCat(kHigh, "\n"));
}

// As of a database that is full; who runs has taken what it was given.
TEST_F(LeavesTest, AnUndoDoesNotLowerMemoryMaxBelowWhatIsUsed) {
  for (const char* used : {"20000000", "50000000"}) {
    Write(leaf_, "memory.max", kLow);
    Write(leaf_, "memory.current", "20000000");
    const auto cgroups = Cgroups({.drift = DriftMode::kOff});
    state::Resources update;
    update.set_memory_limit_bytes(64 << 20);
    const absl::Status updated = cgroups->Update(pod_, id_, update, [&] {
      Write(leaf_, "memory.current", used);
      return absl::ResourceExhaustedError("no space");
    });
    EXPECT_TRUE(absl::IsResourceExhausted(updated)) << updated;
    EXPECT_EQ(
        Read(leaf_, "memory.max"),
        absl::StrCat(used == std::string("20000000") ? kLow : kHigh, "\n"));
  }
}

TEST_F(LeavesTest, CpusOfALeafThatEndsDoNotBringItBack) {
  WriteCpuset(leaf_);
  MakeGroup(pod_ + "/" + kMonitorLeaf);
  WriteCpuset(pod_ + "/" + kMonitorLeaf);
  const auto cgroups = Cgroups();
  const CpuSet cpus = *CpuSet::Parse("0-1");
  cgroups->Guard(pod_, id_, {});
  // The first look has another one for a moment.
  EXPECT_TRUE(Eventually([&] { return DescriptorsOf(leaf_) == 1; }));
  cgroups->Unguard(leaf_);
  ASSERT_TRUE(cgroups->SetCpus(pod_, id_, cpus, CpuSet()).ok());
  EXPECT_TRUE(Eventually([&] { return DescriptorsOf(leaf_) == 0; }))
      << "but for the first look";
  ASSERT_TRUE(cgroups->SetCpus(pod_, kMonitorLeaf, cpus, CpuSet()).ok());
  EXPECT_TRUE(Eventually(
      [&] { return DescriptorsOf(pod_ + "/" + kMonitorLeaf) == 1; }));
}

class PromiseTest : public LeavesTest {
 protected:
  PromiseTest() {
    MakeGroup(pod_ + "/" + other_);
    for (const std::string& path : {pod_, leaf_, pod_ + "/" + other_}) {
      Write(path, "memory.min", "00000000");
      Write(path, "memory.low", "00000000");
    }
  }
  static state::Resources WithMin(const std::string& bytes) {
    state::Resources resources;
    (*resources.mutable_unified())["memory.min"] = bytes;
    return resources;
  }

  const std::string other_ = NewId();
};

TEST_F(PromiseTest, APodIsPromisedWhatItsLeavesShallHave) {
  std::vector<Protection> told;
  ContainerCgroupsOptions options = {.drift = DriftMode::kReport};
  options.keep_protection = [&](const std::string& path,
                                const Protection& protection) {
    EXPECT_EQ(path, pod_);
    told.push_back(protection);
    return absl::UnavailableError("no bus");
  };
  const auto cgroups = Cgroups(options);
  cgroups->GuardPod(pod_);
  EXPECT_TRUE(told.empty()) << "nothing is promised";
  ASSERT_TRUE(cgroups->Create(pod_, id_, WithMin("10485760")).ok());
  EXPECT_EQ(Read(pod_, "memory.min"), "10485760\n");
  // Reported only; and another container starts.
  Write(leaf_, "memory.min", "20971520");
  ASSERT_TRUE(cgroups->Create(pod_, other_, WithMin("10485760")).ok());
  EXPECT_EQ(Read(pod_, "memory.min"), "20971520\n");
  const state::Resources more = WithMin("12582912");
  EXPECT_FALSE(
      cgroups
          ->Update(pod_, other_, more, [] { return absl::InternalError("no"); })
          .ok());
  EXPECT_EQ(Read(pod_, "memory.min"), "20971520\n") << "undone";
  ASSERT_TRUE(cgroups->Update(pod_, other_, more).ok());
  EXPECT_EQ(Read(pod_, "memory.min"), "23068672\n");
  ASSERT_EQ(told.size(), 5U);
  EXPECT_EQ(told[0].min, 10485760U);
  EXPECT_EQ(told[2].min, 23068672U) << "while the update was under way";
  EXPECT_EQ(told[3].min, 20971520U);
  EXPECT_EQ(told[4].min, 23068672U);
}

// Its leaf ended, its files were lowered, and then the daemon was killed.
TEST_F(PromiseTest, WhatAnEarlierDaemonOwedIsToldOnce) {
  int told = 0;
  ContainerCgroupsOptions options = {.drift = DriftMode::kOff};
  options.keep_protection = [&](const std::string&, const Protection& sum) {
    EXPECT_EQ(sum, Protection());
    ++told;
    return absl::OkStatus();
  };
  const auto cgroups = Cgroups(options);
  cgroups->GuardPod(pod_, /*owed=*/true);
  EXPECT_EQ(told, 1);
  cgroups->GuardPod(pod_);
  EXPECT_EQ(told, 1);
}

// A container with a writable cgroup file system writes what it likes, nobody
// looks, and the daemon is started anew in between.
TEST_F(PromiseTest, WhatALeafGivesItselfCountsForNothingWithoutAGuard) {
  auto cgroups = Cgroups({.drift = DriftMode::kOff});
  ASSERT_TRUE(cgroups->Create(pod_, id_, WithMin("10485760")).ok());
  Write(leaf_, "memory.min", "90000000");
  Write(leaf_, "memory.low", "90000000");
  ASSERT_TRUE(cgroups->Create(pod_, other_, WithMin("10485760")).ok());
  EXPECT_EQ(Read(pod_, "memory.min"), "20971520\n");
  EXPECT_EQ(Read(pod_, "memory.low"), "00000000\n");
  cgroups = Cgroups({.drift = DriftMode::kOff});
  cgroups->Guard(pod_, id_, WithMin("10485760"));
  cgroups->Guard(pod_, other_, WithMin("12582912"));
  cgroups->GuardPod(pod_);
  EXPECT_EQ(Read(pod_, "memory.min"), "23068672\n");
  EXPECT_EQ(Read(pod_, "memory.low"), "00000000\n");
}

TEST_F(PromiseTest, AnEndedLeafIsPromisedNothing) {
  for (const DriftMode mode : {DriftMode::kOff, DriftMode::kRepair}) {
    const auto cgroups = Cgroups({.drift = mode});
    ASSERT_TRUE(cgroups->Create(pod_, id_, WithMin("10485760")).ok());
    ASSERT_TRUE(cgroups->Create(pod_, other_, WithMin("12582912")).ok());
    EXPECT_EQ(Read(pod_, "memory.min"), "23068672\n");
    EXPECT_TRUE(cgroups->Unguard(leaf_)) << "it was promised something";
    EXPECT_FALSE(cgroups->Unguard(leaf_));
    // Its files stay until it is removed.
    Write(leaf_, "memory.min", "90000000");
    cgroups->GuardPod(pod_);
    EXPECT_EQ(Read(pod_, "memory.min"), "12582912\n");
    EXPECT_TRUE(cgroups->Unguard(pod_));
    EXPECT_FALSE(cgroups->Unguard(pod_ + "/" + other_));
    Write(leaf_, "memory.min", "00000000");
    Write(pod_ + "/" + other_, "memory.min", "00000000");
  }
}

TEST_F(PromiseTest, AContainerThatCannotBeMadeIsPromisedNothing) {
  Hierarchy hierarchy;
  hierarchy.root = dir_.path();
  // Of a new directory here all files are missing; but not of the pod's.
  ContainerCgroups cgroups(hierarchy, MissingControllers::kIgnore);
  std::filesystem::remove(dir_.path() + pod_ + "/memory.low");
  std::filesystem::create_symlink("/dev/full",
                                  dir_.path() + pod_ + "/memory.low");
  const std::string id = NewId();
  EXPECT_FALSE(cgroups.Create(pod_, id, WithMin("10485760")).ok());
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + pod_ + "/" + id));
  EXPECT_EQ(Read(pod_, "memory.min"), "00000000\n") << "half of it";
  // Nor later, if its cgroup was there before and stays.
  EXPECT_FALSE(cgroups.Create(pod_, id_, WithMin("10485760")).ok());
  std::filesystem::remove(dir_.path() + pod_ + "/memory.low");
  Write(pod_, "memory.low", "00000000");
  cgroups.GuardPod(pod_);
  EXPECT_EQ(Read(pod_, "memory.min"), "00000000\n");
}

TEST_F(PromiseTest, WhatEndsWhileASumIsWrittenIsNotForgotten) {
  const auto cgroups = Cgroups({.drift = DriftMode::kOff});
  ASSERT_TRUE(cgroups->Create(pod_, id_, WithMin("10485760")).ok());
  ASSERT_TRUE(cgroups->Create(pod_, other_, WithMin("12582912")).ok());
  testing_support::HeldFile pods_min(dir_.path() + pod_ + "/memory.min");
  std::thread passes([&] { cgroups->GuardPod(pod_); });
  EXPECT_TRUE(pods_min.AwaitWriter());
  EXPECT_TRUE(cgroups->Unguard(leaf_));
  pods_min.LetGo();
  passes.join();
  std::filesystem::remove_all(dir_.path() + leaf_);
  EXPECT_TRUE(cgroups->Remove(pod_, id_).ok());
  EXPECT_EQ(Read(pod_, "memory.min"), "12582912\n");
}

}  // namespace
}  // namespace pinion::cgroup
