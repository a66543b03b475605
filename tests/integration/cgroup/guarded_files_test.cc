// Limits that are guarded, on plain files (guarded_files.h). With the kernel's
// own: vm/limits_test.cc and tests/vm/suites/drift.sh.

#include "tests/integration/cgroup/guarded_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "metrics/metrics.h"
#include "os/file.h"
#include "runtime/cgroup/cpuset_files.h"
#include "runtime/cgroup/drift_guard.h"
#include "runtime/cgroup/memory_hold.h"
#include "tests/integration/cgroup/first_look.h"
#include "tests/support/child.h"
#include "tests/support/eventually.h"

namespace pinion::cgroup {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::Child;
using testing_support::Eventually;

// By sweeps, so that writes of this process count.
class SweptFilesTest : public GuardedFiles {
 protected:
  void Start(DriftMode mode = DriftMode::kRepair) {
    guard_ = *DriftGuard::Start({.mode = mode,
                                 .sweep_every = milliseconds(20),
                                 .watch = false,
                                 .metrics = metrics_.get()},
                                &book_);
  }
  BookedCgroupPtr Book(const std::string& path,
                       const std::map<std::string, std::string>& noted,
                       const std::vector<Setting>& wanted = {}) {
    bool made = false;
    BookedCgroupPtr cgroup = *book_.Enter(path, &made);
    {
      const absl::MutexLock lock(&cgroup->mutex);
      Note(*cgroup, noted);
      cgroup->wanted = wanted;
    }
    guard_->Watch(cgroup);
    return cgroup;
  }
  // Several sweeps have come and gone.
  void AwaitSweeps() {
    for (const char* text : {"11", "12", "13"}) {
      Write(leaf_, "pids.max", text);
      EXPECT_TRUE(Reads(leaf_, "pids.max", "10"));
    }
  }

  LimitBook book_{dir_.path()};
  std::unique_ptr<DriftGuard> guard_;
};

TEST_F(SweptFilesTest, TheWeightOfAnUpdateStays) {
  Write(leaf_, "cpu.weight", "41");
  Write(leaf_, "cpu.weight.nice", "4");
  Write(leaf_, "pids.max", "10");
  Start();
  const auto cgroup = Book(leaf_, {{"cpu.weight", "41\n"}});
  AwaitFirstLook(cgroup);
  {
    const absl::MutexLock lock(&cgroup->mutex);
    EXPECT_EQ(cgroup->held.count("cpu.weight.nice"), 0U) << "the same again";
  }
  {
    const FileClaim claim = FileClaim::Wait(cgroup, {"cpu.weight"});
    // The kernel changes both.
    Write(leaf_, "cpu.weight", "79");
    Write(leaf_, "cpu.weight.nice", "1");
    const absl::MutexLock lock(&cgroup->mutex);
    Note(*cgroup, {{"cpu.weight", "79\n"}});
  }
  AwaitSweeps();
  EXPECT_EQ(Read(leaf_, "cpu.weight"), "79\n");
  EXPECT_EQ(Read(leaf_, "cpu.weight.nice"), "1\n");
  EXPECT_THAT(metrics_->Render(),
              Not(HasSubstr("repairs_total{file=\"cpu.weight")));
  EXPECT_TRUE(Counts("unrepaired", "cpu.weight", 0));
  EXPECT_TRUE(Counts("unrepaired", "cpu.weight.nice", 0));
}

TEST_F(SweptFilesTest, WhatChangesWithAFileIsNotedAnew) {
  for (const char* file : {"cpu.idle", "cpu.weight", "cpu.weight.nice"}) {
    Write(leaf_, file, "0");
  }
  // Without a guard, which would set the weight right in the meantime.
  bool made = false;
  const BookedCgroupPtr cgroup = *book_.Enter(leaf_, &made);
  const absl::MutexLock lock(&cgroup->mutex);
  Note(*cgroup, {{"cpu.weight", "41\n"}});
  // Idle: there is no weight.
  Note(*cgroup, {{"cpu.idle", "1\n"}});
  EXPECT_EQ(cgroup->held["cpu.weight"], "0\n");
  // Another face of it is kept instead of it, or the other way round.
  Note(*cgroup, {{"cpu.weight.nice", "4\n"}});
  EXPECT_EQ(cgroup->held.count("cpu.weight"), 0U);
  Note(*cgroup, {{"cpu.weight", "41\n"}});
  EXPECT_EQ(cgroup->held.count("cpu.weight.nice"), 0U);
}

TEST_F(SweptFilesTest, AWriteThatTakesLongHoldsUpNoOther) {
  Write(leaf_, "cpuset.mems", "0");
  Write(leaf_, "memory.max", kLow);
  Write(leaf_, "pids.max", "10");
  Start();
  const auto cgroup = Book(leaf_, {{"cpuset.mems", "0\n"},
                                   {"memory.max", absl::StrCat(kLow, "\n")},
                                   {"pids.max", "10\n"}});
  AwaitFirstLook(cgroup);
  {
    // As while pages migrate, and while memory is reclaimed.
    const FileClaim slow =
        FileClaim::Wait(cgroup, {"cpuset.mems", "memory.max"});
    Write(leaf_, "cpuset.mems", "1");
    Write(leaf_, "memory.max", kHigh);
    AwaitSweeps();
    EXPECT_TRUE(FileClaim::Try(cgroup, {"cpuset.cpus"}));
    EXPECT_FALSE(FileClaim::Try(cgroup, {"cpuset.cpus", "cpuset.mems"}));
    EXPECT_EQ(Read(leaf_, "cpuset.mems"), "1\n");
    EXPECT_EQ(Read(leaf_, "memory.max"), absl::StrCat(kHigh, "\n"));
  }
  EXPECT_TRUE(Reads(leaf_, "cpuset.mems", "0"));
  EXPECT_TRUE(Reads(leaf_, "memory.max", kLow));
  EXPECT_TRUE(Counts("repairs", "cpuset.mems", 1));
}

// Both what was set and what a record asks for.
TEST_F(SweptFilesTest, MemoryMaxIsNotLoweredBelowWhatIsUsed) {
  for (const bool from_record : {false, true}) {
    Write(leaf_, "memory.max", kHigh);
    Write(leaf_, "memory.current", "50000000");
    metrics_ = metrics::Registry::Create();
    Start();
    ::testing::internal::CaptureStderr();
    Write(leaf_, "pids.max", "10");
    const auto cgroup =
        from_record
            ? Book(leaf_, {{"pids.max", "10\n"}}, {{"memory.max", kLow}})
            : Book(leaf_, {{"pids.max", "10\n"},
                           {"memory.max", absl::StrCat(kLow, "\n")}});
    EXPECT_TRUE(Counts("unrepaired", "memory.max", 1));
    AwaitSweeps();
    EXPECT_EQ(Read(leaf_, "memory.max"), absl::StrCat(kHigh, "\n"));
    EXPECT_THAT(metrics_->Render(), Not(HasSubstr("repairs_total{file="
                                                  "\"memory.max\"}")));
    Write(leaf_, "memory.current", "20000000");
    EXPECT_TRUE(Reads(leaf_, "memory.max", kLow));
    EXPECT_TRUE(Counts("repairs", "memory.max", 1));
    EXPECT_TRUE(Counts("unrepaired", "memory.max", 1)) << "told once";
    guard_.reset();
    book_.Forget(cgroup);
    EXPECT_THAT(::testing::internal::GetCapturedStderr(),
                HasSubstr("left until less than that is in use"));
  }
}

// Each sweep finds it wrong; what waits for room is one check a second.
TEST_F(SweptFilesTest, SweepsDoNotMultiplyTheChecksOfASlowFile) {
  Write(leaf_, "memory.max", kHigh);
  Write(leaf_, "memory.current", "50000000");
  Write(leaf_, "pids.max", "10");
  Start();
  Book(leaf_, {{"memory.max", absl::StrCat(kLow, "\n")}, {"pids.max", "10\n"}});
  EXPECT_TRUE(Counts("unrepaired", "memory.max", 1));
  const os::UniqueFd looks(inotify_init1(IN_CLOEXEC));
  const std::string file = dir_.path() + leaf_ + "/memory.current";
  const auto start = std::chrono::steady_clock::now();
  ASSERT_GE(inotify_add_watch(looks.get(), file.c_str(), IN_OPEN), 0);
  // However slow the machine, it is not sooner. A check may look twice; sweeps
  // come every 20 ms.
  for (int i = 0; i < 3; ++i) {
    inotify_event event{};
    ASSERT_EQ(read(looks.get(), &event, sizeof(event)),
              static_cast<ssize_t>(sizeof(event)));
  }
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

// A container's that raised its memory.max and filled it.
class MemoryHoldTest : public SweptFilesTest {
 protected:
  void Begin(const std::string& high) {
    Write(leaf_, "memory.max", kHigh);
    Write(leaf_, "memory.high", high);
    Write(leaf_, "memory.current", "50000000");
    Write(leaf_, "pids.max", "10");
    Start();
    Book(pod_, {});
    cgroup_ = Book(leaf_, {{"memory.max", absl::StrCat(kLow, "\n")},
                           {"pids.max", "10\n"}});
    EXPECT_TRUE(Counts("unrepaired", "memory.max", 1));
  }

  static constexpr char kOwnHigh[] = "90000000";
  BookedCgroupPtr cgroup_;
};

TEST_F(MemoryHoldTest, MemoryHighHoldsItUntilItUsesLess) {
  Begin(kOwnHigh);
  EXPECT_TRUE(Reads(leaf_, "memory.high", kHold));
  AwaitSweeps();
  EXPECT_THAT(metrics_->Render(), Not(HasSubstr("repairs_total{file="
                                                "\"memory.high\"}")))
      << "the guard's own doing";
  // It does not get out of it by itself, not even by what it shall be
  // otherwise.
  int repairs = 0;
  for (const char* text : {kOwnHigh, kHigh}) {
    Write(leaf_, "memory.high", text);
    EXPECT_TRUE(Counts("repairs", "memory.high", ++repairs));
    EXPECT_TRUE(Reads(leaf_, "memory.high", kHold));
  }
  Write(leaf_, "memory.current", "20000000");
  EXPECT_TRUE(Reads(leaf_, "memory.max", kLow));
  EXPECT_TRUE(Reads(leaf_, "memory.high", kOwnHigh));
  // And is guarded as it was.
  Write(leaf_, "memory.high", kHigh);
  EXPECT_TRUE(Reads(leaf_, "memory.high", kOwnHigh));
}

TEST_F(MemoryHoldTest, AnUpdateOfEitherEndsItOrIsKeptForLater) {
  Begin(kOwnHigh);
  EXPECT_TRUE(Reads(leaf_, "memory.high", kHold));
  {
    const FileClaim claim = FileClaim::Wait(cgroup_, {"memory.high"});
    Write(leaf_, "memory.high", "80000000");
    const absl::MutexLock lock(&cgroup_->mutex);
    Note(*cgroup_, {{"memory.high", "80000000\n"}});
  }
  EXPECT_TRUE(Reads(leaf_, "memory.high", kHold)) << "still held";
  {
    const FileClaim claim = FileClaim::Wait(cgroup_, {"memory.max"});
    const absl::MutexLock lock(&cgroup_->mutex);
    Note(*cgroup_, {{"memory.max", absl::StrCat(kHigh, "\n")}});
  }
  EXPECT_TRUE(Reads(leaf_, "memory.high", "80000000"));
}

// More than it is held at, and less than it has.
TEST_F(MemoryHoldTest, AHigherMaximumThatIsStillTooLowHoldsItThere) {
  static constexpr char kHigher[] = "40001536";
  Begin(kOwnHigh);
  EXPECT_TRUE(Reads(leaf_, "memory.high", kHold));
  const std::vector<Setting> update = {{kMemoryMax, kHigher}};
  {
    const FileClaim claim = FileClaim::Wait(cgroup_, {kMemoryMax});
    EXPECT_EQ(WithoutHeld(*cgroup_, {{kMemoryMax, "60000000"}}).size(), 1U);
    EXPECT_EQ(WithoutHeld(*cgroup_, {{kMemoryMax, "20000000"}}).size(), 1U);
    EXPECT_EQ(WithoutHeld(*cgroup_, update).size(), 0U);
    SettleHold(cgroup_, update, {});
  }
  EXPECT_TRUE(Reads(leaf_, kMemoryHigh, "38748160"));
  Write(leaf_, "memory.current", "20000000");
  EXPECT_TRUE(Reads(leaf_, kMemoryMax, kHigher));
  EXPECT_TRUE(Reads(leaf_, kMemoryHigh, kOwnHigh));
}

TEST_F(MemoryHoldTest, OneOfAnEarlierDaemonIsNobodysDrift) {
  const std::vector<Setting> shall = {{kMemoryMax, kLow},
                                      {kMemoryHigh, kOwnHigh}};
  bool made = false;
  const auto leaf = *book_.Enter(leaf_, &made);
  for (const char* left : {kHold, "32505857", kOwnHigh}) {
    Write(leaf_, kMemoryHigh, left);
    std::vector<Setting> settings = shall;
    EndOldHold(leaf->dir.get(), settings);
    EXPECT_EQ(settings, shall);
    EXPECT_EQ(Read(leaf_, kMemoryHigh),
              absl::StrCat(left == std::string(kHold) ? kOwnHigh : left, "\n"));
  }
  std::vector<Setting> settings;
  EndOldHold(leaf->dir.get(), settings);
  const std::vector<Setting> with_high = {{kMemoryHigh, "max"}};
  EXPECT_EQ(settings, with_high);
}

TEST_F(MemoryHoldTest, ALowerOneOfTheUsersOwnIsLeftAlone) {
  Begin("20000000");
  AwaitSweeps();
  EXPECT_EQ(Read(leaf_, "memory.high"), "20000000\n");
  Write(leaf_, "memory.high", kOwnHigh);
  EXPECT_TRUE(Reads(leaf_, "memory.high", "20000000")) << "as QoS set it";
}

TEST_F(MemoryHoldTest, ItEndsWithTheGuard) {
  Begin(kOwnHigh);
  EXPECT_TRUE(Reads(leaf_, "memory.high", kHold));
  guard_.reset();
  EXPECT_EQ(Read(leaf_, "memory.high"), absl::StrCat(kOwnHigh, "\n"));
}

// While somebody writes limits, and does not come to an end.
TEST_F(MemoryHoldTest, ItEndsWithADaemonThatDoesNotWait) {
  Begin(kOwnHigh);
  EXPECT_TRUE(Reads(leaf_, "memory.high", kHold));
  const FileClaim claim = FileClaim::Wait(cgroup_, {"memory.high"});
  DropHolds(book_);
  EXPECT_EQ(Read(leaf_, "memory.high"), absl::StrCat(kOwnHigh, "\n"));
}

// The pod's own has no record that would say what it was.
TEST_F(MemoryHoldTest, OnlyContainersAreHeld) {
  Write(leaf_, "memory.max", kHigh);
  Write(leaf_, "memory.high", kOwnHigh);
  Write(leaf_, "memory.current", "50000000");
  Write(leaf_, "pids.max", "10");
  Start();
  // As if it was a pod: what is above is not in the book.
  Book(leaf_, {{"memory.max", absl::StrCat(kLow, "\n")}, {"pids.max", "10\n"}});
  EXPECT_TRUE(Counts("unrepaired", "memory.max", 1));
  AwaitSweeps();
  EXPECT_EQ(Read(leaf_, "memory.high"), absl::StrCat(kOwnHigh, "\n"));
}

TEST_F(SweptFilesTest, OnlyCpusThatWereLostAreTold) {
  Write(leaf_, "pids.max", "10");
  Write(leaf_, "cpuset.cpus", "0-3");
  // The slice never had more.
  Write(leaf_, "cpuset.cpus.effective", "0-1");
  Start();
  const auto cgroup =
      Book(leaf_, {{"cpuset.cpus", "0-3\n"}, {"pids.max", "10\n"}});
  AwaitFirstLook(cgroup);
  AwaitSweeps();
  EXPECT_TRUE(Counts("unrepaired", "cpuset.cpus.effective", 0));
  Write(leaf_, "cpuset.cpus.effective", "0");
  EXPECT_TRUE(Counts("unrepaired", "cpuset.cpus.effective", 1));
  AwaitSweeps();
  EXPECT_TRUE(Counts("unrepaired", "cpuset.cpus.effective", 1));
}

TEST_F(SweptFilesTest, ControllersAreHandedOnToLeavesOnly) {
  Write(leaf_, "pids.max", "10");
  Start();
  Book(pod_, {{"memory.high", "max\n"}, {"memory.max", "max\n"}});
  EXPECT_TRUE(Counts("unrepaired", "cgroup.subtree_control", 1));
  const auto leaf =
      Book(leaf_, {{"memory.high", "max\n"}, {"pids.max", "10\n"}});
  EXPECT_TRUE(Eventually([&] {
    return absl::StartsWith(Read(pod_, "cgroup.subtree_control"), "+memory");
  }));
  AwaitSweeps();
  EXPECT_EQ(Read("/slice", "cgroup.subtree_control"), "\n") << "not pinion's";
  EXPECT_TRUE(Counts("unrepaired", "cgroup.subtree_control", 1)) << "told once";
}

// Somebody takes it again at once: sweeps come every 20 ms.
TEST_F(SweptFilesTest, AControllerIsHandedOnAtThePaceOfRepairs) {
  Write(leaf_, "pids.max", "10");
  Start();
  Book(pod_, {});
  const os::UniqueFd looks(inotify_init1(IN_CLOEXEC));
  const os::UniqueFd writes(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const auto watch = [this](const os::UniqueFd& by, const std::string& file,
                            uint32_t what) {
    ASSERT_GE(inotify_add_watch(by.get(), (dir_.path() + file).c_str(), what),
              0);
  };
  watch(looks, leaf_ + "/pids.max", IN_OPEN);
  watch(writes, pod_ + "/cgroup.subtree_control", IN_CLOSE);
  const auto start = std::chrono::steady_clock::now();
  Book(leaf_, {{"memory.high", "max\n"}, {"pids.max", "10\n"}});
  inotify_event event{};
  constexpr ssize_t kSize = sizeof(event);
  for (int i = 0; i < 30; ++i) {
    ASSERT_EQ(read(looks.get(), &event, sizeof(event)), kSize);
  }
  // Another thread's work.
  EXPECT_TRUE(Eventually([&] {
    return absl::StartsWith(Read(pod_, "cgroup.subtree_control"), "+memory");
  }));
  guard_.reset();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::steady_clock::now() - start);
  // It is read before each write: the kernel joins events that are alike.
  int written = 0;
  while (read(writes.get(), &event, sizeof(event)) == kSize) {
    written += (event.mask & IN_CLOSE_WRITE) != 0 ? 1 : 0;
  }
  EXPECT_GE(written, 1);
  EXPECT_LE(written, FilePace::kBurst + 1 + seconds.count());
  EXPECT_THAT(metrics_->Render(),
              Not(HasSubstr("repairs_total{file=\"cgroup.subtree_control\"}")))
      << "it is not there all the same";
}

// As io.bfq.weight, whose module was unloaded.
TEST_F(SweptFilesTest, AFileThatWentWithoutItsControllerIsTold) {
  Write(leaf_, "pids.max", "10");
  Write(pod_, "cgroup.subtree_control", "cpu io memory");
  Start();
  Book(pod_, {});
  Book(leaf_, {{"io.weight", "default 100\n"}, {"pids.max", "10\n"}});
  EXPECT_TRUE(Counts("unrepaired", "io.weight", 1));
  AwaitSweeps();
  EXPECT_TRUE(Counts("unrepaired", "io.weight", 1)) << "told once";
  EXPECT_EQ(Read(pod_, "cgroup.subtree_control"), "cpu io memory\n");
  Write(leaf_, "io.weight", "default 200");
  EXPECT_TRUE(Reads(leaf_, "io.weight", "default 100")) << "it came back";
}

TEST_F(SweptFilesTest, AFileNobodySetStaysAsItWasSeen) {
  Write(leaf_, "memory.high", kHigh);
  Start();
  AwaitFirstLook(Book(leaf_, {}));
  Write(leaf_, "memory.high", kLow);
  EXPECT_TRUE(Reads(leaf_, "memory.high", kHigh));
}

TEST_F(SweptFilesTest, AWriteIsFoundByItsInodeOnceItWasSearchedFor) {
  const std::string other = pod_ + "/other";
  MakeGroup(other);
  const auto inode = [&](const std::string& path, const char* file) {
    struct stat st = {};
    EXPECT_EQ(stat((dir_.path() + path + "/" + file).c_str(), &st), 0);
    return st.st_ino;
  };
  for (const std::string& path : {leaf_, other}) {
    Write(path, "memory.max", "max");
    Write(path, "pids.max", "max");
    bool made = false;
    ASSERT_TRUE(book_.Enter(path, &made).ok());
  }
  WriteOrigin origin(book_, std::chrono::hours(1));
  // As from a cgroup namespace of its own.
  auto place = origin.Find({"/memory.max", inode(leaf_, "memory.max"), 1});
  EXPECT_EQ(place.cgroup, book_.Find(leaf_));
  EXPECT_EQ(place.file, "memory.max");
  // Found without another search.
  place = origin.Find({"/memory.max", inode(other, "memory.max"), 1});
  EXPECT_EQ(place.cgroup, book_.Find(other));
  place = origin.Find({"/pids.max", inode(other, "pids.max"), 1});
  EXPECT_EQ(place.cgroup, nullptr);
  EXPECT_TRUE(place.missed);
  place = origin.Find(
      {dir_.path() + other + "/pids.max", inode(other, "pids.max"), 1});
  EXPECT_EQ(place.cgroup, book_.Find(other)) << "by its path";
}

TEST(WriterOfTest, WhoChangedAFile) {
  const Writers writers = {{"cpu.idle", {"one (1)", "/a"}},
                           {"cgroup.subtree_control", {"two (2)", "/b"}}};
  EXPECT_EQ(WriterOf(writers, "cpu.idle").process, "one (1)");
  EXPECT_EQ(WriterOf(writers, "cpu.weight").process, "one (1)");
  EXPECT_EQ(WriterOf(writers, "memory.max").process, "two (2)");
  EXPECT_EQ(WriterOf({{"cpu.idle", {"one (1)", "/a"}}}, "memory.max").process,
            "");
}

}  // namespace
}  // namespace pinion::cgroup
