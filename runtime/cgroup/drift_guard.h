// The drift guard: watches the limit files of pinion's cgroups and sets right
// what something else changed (systemd, an administrator, the container
// itself through a writable cgroup file system), or only tells of it.
//
// Where the kernel has fanotify, a write is noticed at once, and by whom, and
// that file is looked at; every kSweepEvery, and when more was written than the
// kernel remembers, every file is. One thread for all cgroups; what may take
// the kernel long has threads of its own: one for memory.max and memory.high,
// which reclaim, and one for cpuset.mems, which migrates pages (a minute was
// seen). Per cgroup it costs an open directory and a mark.
//
// memory.max is not lowered below what is used: the guard reclaims once, tells,
// and waits until less is used; memory.high holds it meanwhile (memory_hold.h).
//
// Something that writes without end is read at most every kPause, and one file
// is repaired at most as often as FilePace says.
//
// Thread-safe.

#ifndef PINION_RUNTIME_CGROUP_DRIFT_GUARD_H_
#define PINION_RUNTIME_CGROUP_DRIFT_GUARD_H_

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "metrics/metrics.h"
#include "os/reactor.h"
#include "os/write_watch.h"
#include "runtime/cgroup/drift.h"
#include "runtime/cgroup/limit_book.h"
#include "runtime/cgroup/limit_table.h"
#include "runtime/cgroup/memory_hold.h"
#include "runtime/cgroup/write_origin.h"

namespace pinion::cgroup {

class DriftGuard {
 public:
  static constexpr std::chrono::seconds kSweepEvery{30};
  static constexpr std::chrono::milliseconds kPause{20};

  struct Options {
    DriftMode mode = DriftMode::kRepair;  // not kOff
    std::chrono::milliseconds sweep_every = kSweepEvery;
    bool watch = true;  // else it only sweeps
    // Writes to other files are nobody's business, but for kControl.
    bool (*is_limit)(const std::string& file) = IsLimitFile;
    // For pinion_cgroup_drift_repairs_total{file} and
    // pinion_cgroup_drift_unrepaired_total{file}; may be null.
    metrics::Registry* metrics = nullptr;
  };

  // `book` outlives the guard.
  static absl::StatusOr<std::unique_ptr<DriftGuard>> Start(Options options,
                                                           LimitBook* book);
  ~DriftGuard();

  // The cgroup was entered in the book, with all that is to be said of it so
  // far; looked at soon.
  void Watch(const BookedCgroupPtr& cgroup);
  // There is more to be said of it.
  void LookSoon(const BookedCgroupPtr& cgroup);
  // It was taken out.
  void Unwatch(const BookedCgroupPtr& cgroup);

 private:
  using Delay = std::chrono::milliseconds;
  enum class Contested { kWait, kLater };

  // A file that shall read `held`, or for which `wanted` was asked.
  struct Wish {
    std::optional<std::string> held;
    Setting wanted;
    bool is_hold = false;  // memory.high: for now only (memory_hold.h)

    const std::string& text() const { return held ? *held : wanted.value; }
  };

  // What is looked at in a cgroup, and who wrote there.
  struct Glance {
    std::set<std::string> files;  // empty: every one
    Writers writers;

    // What was written, and what changes with it.
    static Glance At(const Writers& written);
    void Add(const Glance& other);
  };

  DriftGuard(Options options, LimitBook* book)
      : options_(options), book_(*book), origin_(*book), holds_(*book) {}

  // Down to LookLater on the reactor's thread.
  void OnWrites();
  void SweepLater();
  void SweepSoon();
  void StartSweep();
  void SweepSome();
  void Look(const BookedCgroupPtr& cgroup, const Glance& glance);
  // Compares a file whose writes are slow; if it differs, a thread of its own
  // does the rest.
  void LookAtSlow(const BookedCgroupPtr& cgroup, const std::string& file,
                  const Writer& writer, os::Reactor* slow);
  void LookLater(const BookedCgroupPtr& cgroup, const Glance& glance,
                 Delay delay);
  // Once in `delay`, however often it is asked for until then.
  void CheckSlowly(const BookedCgroupPtr& cgroup, const std::string& file,
                   const Writer& writer, os::Reactor* slow, Delay delay)
      ABSL_LOCKS_EXCLUDED(slow_mutex_);

  // Null: the reactor's own thread may write it.
  os::Reactor* SlowThread(const std::string& file) const;
  // When to look at the file again; kNever.
  Delay Check(const BookedCgroupPtr& cgroup, const std::string& file,
              const Writer& writer, Contested contested);
  Delay Repair(const BookedCgroupPtr& cgroup, const std::string& file,
               const Wish& wish, const std::string& actual,
               const Writer& writer);
  // A container's, that is.
  bool IsLeaf(const BookedCgroup& cgroup) const;
  // Whether memory.max, if `file` is that, can be lowered to what is wished.
  bool HasRoom(BookedCgroup& cgroup, const std::string& file, const Wish& wish,
               const std::string& actual, const Writer& writer);
  // The file is not there: it went with its controller, or without. When to
  // look again.
  Delay HandOnController(BookedCgroup& cgroup, const std::string& file,
                         const std::string& should_be, const Writer& writer);
  // Logs and counts what came of a repair; `pace`: whose errors it is about.
  void Settle(BookedCgroup& cgroup, const std::string& file,
              const std::string& pace, const std::string& was,
              const std::string& should_be, const Writer& writer,
              const absl::Status& status);
  Delay NoteTheRest(BookedCgroup& cgroup);
  void CheckEffective(BookedCgroup& cgroup);
  void Count(const std::string& file, bool repaired);
  // At 0 from the start: an alert sees the first one, too.
  void ShowCounters();
  metrics::Counter& Unrepaired(const std::string& file);

  const Options options_;
  LimitBook& book_;
  std::unique_ptr<os::WriteWatch> watch_;  // null: sweeps only
  // The reactor's thread only.
  WriteOrigin origin_;
  std::vector<BookedCgroupPtr> to_sweep_;
  std::map<BookedCgroupPtr, Glance> due_;  // LookLater
  bool sweeping_ = false;
  bool sweep_again_ = false;
  bool sweep_is_soon_ = false;
  os::Reactor::TimerId next_sweep_ = 0;

  const HoldsUntilTheEnd holds_;

  absl::Mutex slow_mutex_;
  // What the slow threads have before them, at once or later.
  std::set<std::pair<BookedCgroupPtr, std::string>> slow_due_
      ABSL_GUARDED_BY(slow_mutex_);
  // Last, so that their threads end first: the one that gives the others work
  // before them.
  std::unique_ptr<os::Reactor> migrates_;
  std::unique_ptr<os::Reactor> reclaims_;
  std::unique_ptr<os::Reactor> reactor_;
};

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_DRIFT_GUARD_H_
