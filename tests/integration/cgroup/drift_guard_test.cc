// The guard against a process that writes: on cgroup.max.depth and
// cgroup.max.descendants, which every cgroup has whatever its controllers (as
// limits they mean nothing to pinion). Needs root and fanotify.

#include "runtime/cgroup/drift_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "os/file.h"
#include "tests/integration/cgroup/first_look.h"
#include "tests/support/child.h"
#include "tests/support/eventually.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;
using testing_support::Child;
using testing_support::Eventually;
using testing_support::ScratchCgroup;

constexpr char kFile[] = "cgroup.max.depth";
constexpr char kOther[] = "cgroup.max.descendants";
constexpr char kRepairs[] =
    "pinion_cgroup_drift_repairs_total{file=\"cgroup.max.depth\"}";
constexpr char kLeft[] =
    "pinion_cgroup_drift_unrepaired_total{file=\"cgroup.max.depth\"}";

class DriftGuardTest : public testing::Test {
 protected:
  // By sweeps alone only where a test says so.
  void Start(DriftMode mode, bool watch = true,
             milliseconds sweep = std::chrono::hours(1)) {
    auto guard =
        DriftGuard::Start({.mode = mode,
                           .sweep_every = sweep,
                           .watch = watch,
                           .is_limit =
                               [](const std::string& file) {
                                 return file == kFile || file == kOther;
                               },
                           .metrics = metrics_.get()},
                          &book_);
    ASSERT_TRUE(guard.ok()) << guard.status();
    guard_ = *std::move(guard);
  }

  // A cgroup below the scratch one, whose files are held as they are.
  BookedCgroupPtr Enter(const std::string& name) {
    const std::string path = absl::StrCat(scratch_.path(), "/", name);
    scratch_.MakeDir(path);
    bool made = false;
    const BookedCgroupPtr cgroup = *book_.Enter(path, &made);
    EXPECT_TRUE(made);
    {
      const absl::MutexLock lock(&cgroup->mutex);
      for (const char* file : {kFile, kOther}) {
        cgroup->held[file] = *os::ReadFileAt(cgroup->dir.get(), file);
      }
    }
    guard_->Watch(cgroup);
    return cgroup;
  }

  // Until the first looks at all that was entered so far have been.
  void AwaitFirstLooks() {
    const BookedCgroupPtr last = Enter("last");
    {
      const absl::MutexLock lock(&last->mutex);
      last->held[kOther] = "7";
    }
    guard_->LookSoon(last);
    EXPECT_TRUE(Eventually([&] {
      return scratch_.Read(absl::StrCat(last->path, "/", kOther)) == "7";
    }));
  }

  std::string PathOf(const BookedCgroupPtr& cgroup, const char* file) const {
    return absl::StrCat(scratch_.root(), cgroup->path, "/", file);
  }

  // By another process: the guard leaves out what its own writes.
  static void ForeignWrite(const std::string& path, const std::string& value) {
    EXPECT_EQ(Child([&] {
                return os::WriteKernelFile(AT_FDCWD, path, value).ok() ? 0 : 1;
              }).Wait(),
              0);
  }

  bool Reads(const BookedCgroupPtr& cgroup, const std::string& value) {
    return Eventually([&] {
      return scratch_.Read(absl::StrCat(cgroup->path, "/", kFile)) == value;
    });
  }
  bool Counts(const std::string& metric, int count) {
    const std::string line = absl::StrCat(metric, " ", count, "\n");
    return Eventually(
        [&] { return absl::StrContains(metrics_->Render(), line); });
  }

  ScratchCgroup scratch_;
  LimitBook book_{scratch_.root()};
  std::unique_ptr<metrics::Registry> metrics_ = metrics::Registry::Create();
  std::unique_ptr<DriftGuard> guard_;
};

TEST_F(DriftGuardTest, WhatIsForgottenIsLetGoAtOnce) {
  Start(DriftMode::kRepair);
  // Again if the first look came just then, to a thread that stood still.
  int tries = 0;
  EXPECT_TRUE(Eventually([&] {
    BookedCgroupPtr cgroup = Enter(absl::StrCat("short", ++tries));
    const std::weak_ptr<BookedCgroup> entry = cgroup;
    EXPECT_TRUE(book_.Forget(cgroup));
    guard_->Unwatch(cgroup);
    cgroup.reset();
    return entry.expired();
  }));
}

TEST_F(DriftGuardTest, AForeignWriteIsNoticedRepairedAndCounted) {
  Start(DriftMode::kRepair);
  const auto one = Enter("one");
  const auto two = Enter("two");
  // They know nobody.
  AwaitFirstLook(one);
  AwaitFirstLook(two);
  testing::internal::CaptureStderr();
  ForeignWrite(PathOf(one, kFile), "7");
  EXPECT_TRUE(Reads(one, "max"));
  EXPECT_TRUE(Counts(kRepairs, 1));
  ForeignWrite(PathOf(two, kFile), "8");
  EXPECT_TRUE(Reads(two, "max"));
  EXPECT_TRUE(Counts(kRepairs, 2));
  guard_.reset();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr(absl::StrCat("cgroup=", one->path)));
  EXPECT_THAT(log, HasSubstr("file=cgroup.max.depth was=7 should_be=max by="));
  EXPECT_THAT(log, HasSubstr("outcome=repaired"));
  EXPECT_THAT(log, Not(HasSubstr("by=unknown")));
}

TEST_F(DriftGuardTest, AWriteThroughAnotherMountIsNoticedToo) {
  Start(DriftMode::kRepair);
  const auto cgroup = Enter("one");
  AwaitFirstLook(cgroup);
  // With a root of its own, as in a container. What is written is below it:
  // its own limits it could not write where systemd mounts with nsdelegate.
  const os::UniqueFd root = scratch_.Open(scratch_.path());
  const auto write_below_another_root = [] {
    const std::string at = "/tmp/pn-drift-mount";
    if (unshare(CLONE_NEWCGROUP | CLONE_NEWNS) != 0 ||
        mount("", "/", "", MS_REC | MS_PRIVATE, "") != 0 ||
        mount("tmpfs", "/tmp", "tmpfs", 0, "") != 0 ||
        !os::MakeDirs(at, 0700).ok() ||
        mount("cgroup2", at.c_str(), "cgroup2", 0, "") != 0) {
      return 1;
    }
    const std::string file = absl::StrCat(at, "/one/", kFile);
    return os::WriteKernelFile(AT_FDCWD, file, "7").ok() ? 0 : 2;
  };
  EXPECT_EQ(Child(write_below_another_root, root.get()).Wait(), 0);
  EXPECT_TRUE(Counts(kRepairs, 1));
  EXPECT_TRUE(Reads(cgroup, "max"));
}

TEST_F(DriftGuardTest, ReportOnlyLeavesItAndTellsOnce) {
  Start(DriftMode::kReport, /*watch=*/true, milliseconds(20));
  const auto cgroup = Enter("one");
  ForeignWrite(PathOf(cgroup, kFile), "7");
  EXPECT_TRUE(Counts(kLeft, 1));
  // It is looked at again and again meanwhile: another file shows that.
  for (int i = 1; i <= 5; ++i) {
    ForeignWrite(PathOf(cgroup, kOther), absl::StrCat(i));
    EXPECT_TRUE(
        Counts("pinion_cgroup_drift_unrepaired_total{file="
               "\"cgroup.max.descendants\"}",
               i));
  }
  EXPECT_THAT(metrics_->Render(), HasSubstr(absl::StrCat(kLeft, " 1\n")));
  EXPECT_EQ(scratch_.Read(absl::StrCat(cgroup->path, "/", kFile)), "7");
}

TEST_F(DriftGuardTest, WithoutNoticeTheSweepFindsIt) {
  Start(DriftMode::kRepair, /*watch=*/false, milliseconds(50));
  const auto cgroup = Enter("one");
  AwaitFirstLook(cgroup);
  ForeignWrite(PathOf(cgroup, kFile), "7");
  EXPECT_TRUE(Reads(cgroup, "max"));
  EXPECT_TRUE(Counts(kRepairs, 1));
}

TEST_F(DriftGuardTest, WhatIsBeingChangedByPinionIsLeftAlone) {
  Start(DriftMode::kRepair);
  const auto cgroup = Enter("one");
  {
    const FileClaim claim = FileClaim::Wait(cgroup, {kFile});
    // Seen by the guard, but what is right is not known before the change is.
    ForeignWrite(PathOf(cgroup, kFile), "5");
    // It is tried again and again; others are looked at meanwhile.
    for (int i = 0; i < 5; ++i) {
      ForeignWrite(PathOf(cgroup, kOther), "9");
      EXPECT_TRUE(Eventually([&] {
        return scratch_.Read(absl::StrCat(cgroup->path, "/", kOther)) == "max";
      }));
    }
    EXPECT_EQ(scratch_.Read(absl::StrCat(cgroup->path, "/", kFile)), "5");
    const absl::MutexLock lock(&cgroup->mutex);
    cgroup->held[kFile] = "5\n";
  }
  ForeignWrite(PathOf(cgroup, kFile), "6");
  EXPECT_TRUE(Reads(cgroup, "5"));
  EXPECT_TRUE(Counts(kRepairs, 1));
}

TEST_F(DriftGuardTest, AFloodOfWritesIsAnsweredSlowlyAndInTheEnd) {
  Start(DriftMode::kRepair);
  const auto cgroup = Enter("one");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(
      Child([&] {
        for (int i = 0; i < 20'000; ++i) {
          if (!os::WriteKernelFile(AT_FDCWD, PathOf(cgroup, kFile), "7").ok()) {
            return 1;
          }
        }
        return 0;
      }).Wait(),
      0);
  EXPECT_TRUE(Reads(cgroup, "max"));
  // It is counted after it is written.
  EXPECT_TRUE(Eventually(
      [&] { return absl::StrContains(metrics_->Render(), kRepairs); }));
  const std::string text = metrics_->Render();
  const size_t at = text.find(kRepairs);
  ASSERT_NE(at, std::string::npos);
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - begin;
  EXPECT_LE(std::stod(text.substr(at + sizeof(kRepairs) - 1)),
            FilePace::kBurst + seconds / FilePace::kRepairEvery + 1);
}

// What a container writes into its own cgroup costs a look at what it wrote.
TEST_F(DriftGuardTest, AWriteCostsALookAtThatFileOnly) {
  Start(DriftMode::kRepair);
  const auto cgroup = Enter("one");
  AwaitFirstLook(cgroup);
  // This process's own is not told: only who looks finds it.
  const std::string other = absl::StrCat(cgroup->path, "/", kOther);
  scratch_.Write(other, "9");
  for (int i = 1; i <= 3; ++i) {
    ForeignWrite(PathOf(cgroup, "cgroup.procs"), "0");
    ForeignWrite(PathOf(cgroup, "cgroup.freeze"), "0");
    ForeignWrite(PathOf(cgroup, kFile), "7");
    EXPECT_TRUE(Counts(kRepairs, i));
  }
  EXPECT_EQ(scratch_.Read(other), "9");
  // Controllers come and go with all their files.
  ForeignWrite(PathOf(cgroup, kControl), "\n");
  EXPECT_TRUE(Eventually([&] { return scratch_.Read(other) == "max"; }));
}

TEST_F(DriftGuardTest, WhoWroteIsToldOfEachFile) {
  Start(DriftMode::kRepair);
  const auto cgroup = Enter("one");
  const auto last = Enter("last");
  // They would repair without knowing who, and out of turn.
  AwaitFirstLook(cgroup);
  AwaitFirstLook(last);
  testing::internal::CaptureStderr();
  pid_t first = 0;
  pid_t second = 0;
  {
    // Both are told before either is repaired.
    const FileClaim claim = FileClaim::Wait(cgroup, {kFile, kOther});
    const auto writer = [&](const char* file) {
      return Child([path = PathOf(cgroup, file)] {
        return os::WriteKernelFile(AT_FDCWD, path, "5").ok() ? 0 : 1;
      });
    };
    Child one = writer(kFile);
    Child two = writer(kOther);
    first = one.pid();
    second = two.pid();
    EXPECT_EQ(one.Wait() + two.Wait(), 0);
    // Writes are told in their order.
    ForeignWrite(PathOf(last, kFile), "5");
    EXPECT_TRUE(Reads(last, "max"));
  }
  EXPECT_TRUE(Counts(kRepairs, 2));
  EXPECT_TRUE(Counts(
      absl::StrCat("pinion_cgroup_drift_repairs_total{file=\"", kOther, "\"}"),
      1));
  guard_.reset();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, testing::ContainsRegex(absl::StrCat(
                       "file=", kFile, " was=5 [^\n]*\\(", first, "\\)")));
  EXPECT_THAT(log, testing::ContainsRegex(absl::StrCat(
                       "file=", kOther, " was=5 [^\n]*\\(", second, "\\)")));
}

TEST_F(DriftGuardTest, WhoWroteIsToldThoughALookCameFirst) {
  Start(DriftMode::kRepair);
  const auto cgroup = Enter("one");
  const auto other = Enter("two");
  testing::internal::CaptureStderr();
  pid_t pid = 0;
  {
    const FileClaim claim = FileClaim::Wait(cgroup, {kFile});
    // The first look, which knows nobody, comes and is put off.
    AwaitFirstLooks();
    Child writer([path = PathOf(cgroup, kFile)] {
      return os::WriteKernelFile(AT_FDCWD, path, "5").ok() ? 0 : 1;
    });
    pid = writer.pid();
    EXPECT_EQ(writer.Wait(), 0);
    // Writes are told in their order.
    ForeignWrite(PathOf(other, kFile), "5");
    EXPECT_TRUE(Reads(other, "max"));
  }
  EXPECT_TRUE(Reads(cgroup, "max"));
  EXPECT_TRUE(Counts(kRepairs, 2));
  guard_.reset();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr(absl::StrCat("(", pid, ")")));
}

TEST_F(DriftGuardTest, ACgroupThatWentIsTakenOutOfTheBook) {
  Start(DriftMode::kRepair, /*watch=*/true, milliseconds(20));
  const auto gone = Enter("gone");
  ASSERT_EQ(rmdir(absl::StrCat(scratch_.root(), gone->path).c_str()), 0);
  EXPECT_TRUE(Eventually([&] { return book_.Find(gone->path) == nullptr; }));
}

TEST_F(DriftGuardTest, ACgroupThatGoesIsNoTrouble) {
  Start(DriftMode::kRepair, /*watch=*/true, milliseconds(20));
  const auto gone = Enter("gone");
  const auto stays = Enter("stays");
  ForeignWrite(PathOf(gone, kFile), "7");
  ASSERT_EQ(rmdir(absl::StrCat(scratch_.root(), gone->path).c_str()), 0);
  ForeignWrite(PathOf(stays, kFile), "7");
  EXPECT_TRUE(Reads(stays, "max"));
  for (const BookedCgroupPtr& cgroup : book_.Forget(gone->path)) {
    guard_->Unwatch(cgroup);
  }
  EXPECT_EQ(book_.Below(scratch_.path()).size(), 1U);
  // No longer guarded.
  for (const BookedCgroupPtr& cgroup : book_.Forget(scratch_.path())) {
    guard_->Unwatch(cgroup);
  }
  EXPECT_TRUE(book_.Below("").empty());
  const auto fence = Enter("fence");
  ForeignWrite(PathOf(stays, kFile), "7");
  // Writes are told in their order.
  ForeignWrite(PathOf(fence, kFile), "7");
  EXPECT_TRUE(Reads(fence, "max"));
  EXPECT_EQ(scratch_.Read(absl::StrCat(stays->path, "/", kFile)), "7");
}

size_t Entries(const std::string& directory) {
  return os::ListDirAt(AT_FDCWD, directory)->size();
}

std::vector<std::string> Threads() {
  return *os::ListDirAt(AT_FDCWD, "/proc/self/task");
}

// Not how many more: a thread that was joined is listed for a while.
size_t NewThreads(const std::vector<std::string>& before) {
  const std::set<std::string> known(before.begin(), before.end());
  size_t count = 0;
  for (const std::string& thread : Threads()) count += 1 - known.count(thread);
  return count;
}

// 270 pods of one container each: the scopes and the leaves.
TEST_F(DriftGuardTest, AFullNodeCostsADescriptorACgroupAndThreeThreads) {
  const size_t descriptors = Entries("/proc/self/fd");
  const std::vector<std::string> threads = Threads();
  Start(DriftMode::kRepair);
  const size_t own = Entries("/proc/self/fd") - descriptors;
  EXPECT_LE(own, 8U);
  EXPECT_EQ(NewThreads(threads), 3U);
  for (int i = 0; i < 540; ++i) Enter(absl::StrCat("c", i));
  // A first look that is under way has a file open.
  EXPECT_TRUE(Eventually(
      [&] { return Entries("/proc/self/fd") == descriptors + own + 540; }));
  EXPECT_EQ(NewThreads(threads), 3U);
  const auto last = book_.Find(scratch_.path() + "/c539");
  ForeignWrite(PathOf(last, kFile), "7");
  EXPECT_TRUE(Reads(last, "max"));
  for (const BookedCgroupPtr& cgroup : book_.Forget(scratch_.path())) {
    guard_->Unwatch(cgroup);
  }
  // Looks that are queued hold none of them; `last` is held here.
  EXPECT_TRUE(Eventually(
      [&] { return Entries("/proc/self/fd") == descriptors + own + 1; }));
}

TEST(LimitBookTest, FindsWhatIsBelowAndNotWhatIsBeside) {
  ScratchCgroup scratch;
  LimitBook book(scratch.root());
  bool made = false;
  for (const char* name : {"/a", "/a/b", "/a-b", "/ab"}) {
    scratch.MakeDir(scratch.path() + name);
    ASSERT_TRUE(book.Enter(scratch.path() + name, &made).ok());
    EXPECT_TRUE(made);
  }
  ASSERT_TRUE(book.Enter(scratch.path() + "/a", &made).ok());
  EXPECT_FALSE(made);
  EXPECT_EQ(book.Below(scratch.path() + "/a").size(), 2U);
  EXPECT_EQ(book.Below("").size(), 4U);
  EXPECT_EQ(book.Forget(scratch.path() + "/a").size(), 2U);
  EXPECT_EQ(book.Find(scratch.path() + "/a/b"), nullptr);
  EXPECT_NE(book.Find(scratch.path() + "/a-b"), nullptr);
  EXPECT_TRUE(
      absl::IsNotFound(book.Enter(scratch.path() + "/none", &made).status()));
}

}  // namespace
}  // namespace pinion::cgroup
