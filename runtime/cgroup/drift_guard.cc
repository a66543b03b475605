#include "runtime/cgroup/drift_guard.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/cpu_set.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "runtime/cgroup/cpuset_files.h"
#include "runtime/cgroup/limit_table.h"
#include "runtime/cgroup/limit_writer.h"

namespace pinion::cgroup {
namespace {

// Looked at in one go before others get their turn.
constexpr size_t kSweepAtATime = 16;
// A new cgroup's start is not held up by the first look at it.
constexpr std::chrono::milliseconds kFirstLook{200};
// After the kernel's queue has run over.
constexpr std::chrono::milliseconds kSweepSoon{1000};
// While somebody else changes a file.
constexpr std::chrono::milliseconds kContested{100};
constexpr std::chrono::milliseconds kNever = std::chrono::milliseconds::max();

constexpr char kEffective[] = "cpuset.cpus.effective";
constexpr char kInUse[] = "left until less than that is in use";

std::string Stripped(const std::string& text) {
  return std::string(absl::StripAsciiWhitespace(text));
}

void Tell(const BookedCgroup& cgroup, const std::string& file,
          const std::string& was, const std::string& should_be,
          const Writer& writer, const std::string& outcome) {
  Log(LogLevel::kWarning, "a limit was changed by something else",
      {{"cgroup", cgroup.path},
       {"file", file},
       {"was", Stripped(was)},
       {"should_be", Stripped(should_be)},
       {"by", writer.process.empty() ? "unknown" : writer.process},
       {"by_cgroup", writer.cgroup},
       {"outcome", outcome}});
}

bool IsThere(const BookedCgroup& cgroup,
             const std::string& file = "cgroup.procs") {
  struct stat st = {};
  return fstatat(cgroup.dir.get(), file.c_str(), &st, 0) == 0;
}

// What is said, and remembered, of a cgroup without the file's controller.
std::string Without(const std::string& file) {
  return absl::StrCat("no ", ControllerOf(file));
}

// Of a file that is as it shall be.
void Found(BookedCgroup& cgroup, const std::string& file,
           const std::string& text)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(cgroup.mutex) {
  cgroup.held[file] = text;
  std::erase_if(cgroup.wanted,
                [&file](const Setting& s) { return s.file == file; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<DriftGuard>> DriftGuard::Start(Options options,
                                                              LimitBook* book) {
  std::unique_ptr<DriftGuard> guard(new DriftGuard(options, book));
  guard->ShowCounters();
  PINION_ASSIGN_OR_RETURN(guard->migrates_, os::Reactor::Create());
  PINION_ASSIGN_OR_RETURN(guard->reclaims_, os::Reactor::Create());
  PINION_ASSIGN_OR_RETURN(guard->reactor_, os::Reactor::Create());
  if (options.watch) {
    auto watch = os::WriteWatch::Create();
    if (watch.ok()) {
      guard->watch_ = *std::move(watch);
      PINION_RETURN_IF_ERROR(
          guard->reactor_->Add(guard->watch_->fd(), EPOLLIN,
                               [g = guard.get()](uint32_t) { g->OnWrites(); }));
    } else {
      Log(LogLevel::kWarning, "drift of limits is noticed by looking only",
          {{"error", watch.status().ToString()}});
    }
  }
  guard->reactor_->Post([g = guard.get()] { g->SweepLater(); });
  return guard;
}

// No reset(): what runs still uses the pointers until its thread has ended.
DriftGuard::~DriftGuard() = default;

void DriftGuard::Watch(const BookedCgroupPtr& cgroup) {
  if (watch_ != nullptr) {
    const absl::Status marked = watch_->Add(cgroup->dir.get());
    if (!marked.ok()) {
      Log(LogLevel::kWarning, "a cgroup's files are not watched, only swept",
          {{"cgroup", cgroup->path}, {"error", marked.ToString()}});
    }
    const absl::MutexLock lock(&cgroup->mutex);
    // In the meantime: who took it out found no mark.
    if (cgroup->forgotten) Unwatch(cgroup);
  }
  LookSoon(cgroup);
}

void DriftGuard::LookSoon(const BookedCgroupPtr& cgroup) {
  // What goes until then is not held up: its descriptor would keep the kernel's
  // part of a removed cgroup.
  reactor_->After(kFirstLook,
                  [this, entry = std::weak_ptr<BookedCgroup>(cgroup)] {
                    if (const BookedCgroupPtr there = entry.lock()) {
                      Look(there, Glance());
                    }
                  });
}

void DriftGuard::Unwatch(const BookedCgroupPtr& cgroup) {
  if (watch_ != nullptr) watch_->Remove(cgroup->dir.get());
}

void DriftGuard::OnWrites() {
  const os::WriteWatch::Batch batch = watch_->Read();
  // Whoever writes without end is not followed without end.
  const int fd = watch_->fd();
  reactor_->Remove(fd);
  reactor_->After(kPause, [this, fd] {
    const absl::Status added =
        reactor_->Add(fd, EPOLLIN, [this](uint32_t) { OnWrites(); });
    if (added.ok()) return;
    Log(LogLevel::kError, "drift of limits is noticed by looking only",
        {{"error", added.ToString()}});
  });
  std::map<BookedCgroupPtr, Writers> written;
  std::map<pid_t, Writer> writers;
  bool missed = batch.lost;
  for (const os::FileWrite& write : batch.writes) {
    const std::string file = write.path.substr(write.path.rfind('/') + 1);
    if (file != kControl && !options_.is_limit(file)) continue;
    const WriteOrigin::Place place = origin_.Find(write);
    missed = missed || place.missed;
    if (place.cgroup == nullptr) continue;
    const auto [writer, is_new] = writers.try_emplace(write.pid);
    if (is_new) writer->second = Describe(write.pid);
    if (place.file != kControl) {
      written[place.cgroup][place.file] = writer->second;
      continue;
    }
    for (BookedCgroupPtr& below : book_.Below(place.cgroup->path)) {
      written[std::move(below)][kControl] = writer->second;
    }
  }
  for (const auto& [cgroup, by] : written) Look(cgroup, Glance::At(by));
  if (missed) SweepSoon();
}

void DriftGuard::SweepLater() {
  next_sweep_ = reactor_->After(options_.sweep_every, [this] { StartSweep(); });
}

void DriftGuard::SweepSoon() {
  if (sweeping_) {
    sweep_again_ = true;
  } else if (!sweep_is_soon_ && reactor_->Cancel(next_sweep_)) {
    // Not put off again by whatever is missed until then.
    sweep_is_soon_ = true;
    next_sweep_ = reactor_->After(std::min(kSweepSoon, options_.sweep_every),
                                  [this] { StartSweep(); });
  }
}

void DriftGuard::StartSweep() {
  sweeping_ = true;
  sweep_is_soon_ = false;
  to_sweep_ = book_.Below("");
  SweepSome();
}

void DriftGuard::SweepSome() {
  for (size_t i = 0; i < kSweepAtATime && !to_sweep_.empty(); ++i) {
    Look(to_sweep_.back(), Glance());
    to_sweep_.pop_back();
  }
  if (!to_sweep_.empty()) {
    reactor_->Post([this] { SweepSome(); });
    return;
  }
  sweeping_ = false;
  SweepLater();
  if (std::exchange(sweep_again_, false)) SweepSoon();
}

DriftGuard::Glance DriftGuard::Glance::At(const Writers& written) {
  Glance glance;
  glance.writers = written;
  // With a controller all its files come and go.
  if (written.count(kControl) != 0) return glance;
  for (const auto& [file, writer] : written) {
    glance.files.insert(file);
    for (std::string& other : ChangesWith(file)) {
      glance.files.insert(std::move(other));
    }
  }
  return glance;
}

void DriftGuard::Glance::Add(const Glance& other) {
  if (files.empty() || other.files.empty()) {
    files.clear();
  } else {
    files.insert(other.files.begin(), other.files.end());
  }
  for (const auto& [file, writer] : other.writers) {
    if (!writer.process.empty()) writers[file] = writer;
  }
}

void DriftGuard::LookLater(const BookedCgroupPtr& cgroup, const Glance& glance,
                           Delay delay) {
  const auto [due, is_new] = due_.try_emplace(cgroup, glance);
  if (!is_new) return due->second.Add(glance);
  reactor_->After(delay, [this, cgroup] {
    const auto now = due_.extract(cgroup);
    Look(cgroup, now.mapped());
  });
}

void DriftGuard::Look(const BookedCgroupPtr& cgroup, const Glance& glance) {
  if (!IsThere(*cgroup)) {
    // It went without anybody saying so.
    (void)book_.Forget(cgroup);
    Unwatch(cgroup);
    return;
  }
  Glance later;
  later.writers = glance.writers;
  const auto due = due_.find(cgroup);
  if (due != due_.end()) {
    later.writers.insert(due->second.writers.begin(),
                         due->second.writers.end());
  }
  std::set<std::string> files = glance.files;
  bool complete = false;
  {
    const absl::MutexLock lock(&cgroup->mutex);
    if (files.empty()) {
      for (const auto& [file, text] : cgroup->held) files.insert(file);
      for (const Setting& setting : cgroup->wanted) files.insert(setting.file);
    }
    complete = cgroup->complete;
  }
  Delay again = kNever;
  for (const std::string& file : files) {
    const Writer writer = WriterOf(later.writers, file);
    if (os::Reactor* const slow = SlowThread(file)) {
      LookAtSlow(cgroup, file, writer, slow);
      continue;
    }
    const Delay delay = Check(cgroup, file, writer, Contested::kLater);
    if (delay == kNever) continue;
    again = std::min(again, delay);
    later.files.insert(file);
  }
  if (!complete) {
    const Delay delay = NoteTheRest(*cgroup);
    again = std::min(again, delay);
    if (delay != kNever) later.files.clear();
  }
  if (glance.files.empty() && glance.writers.empty()) CheckEffective(*cgroup);
  if (again != kNever) LookLater(cgroup, later, again);
}

os::Reactor* DriftGuard::SlowThread(const std::string& file) const {
  if (file == kMems) return migrates_.get();
  if (file == kMemoryMax || file == kMemoryHigh) return reclaims_.get();
  return nullptr;
}

void DriftGuard::LookAtSlow(const BookedCgroupPtr& cgroup,
                            const std::string& file, const Writer& writer,
                            os::Reactor* slow) {
  {
    const absl::MutexLock lock(&cgroup->mutex);
    const auto held = cgroup->held.find(file);
    const auto actual = os::ReadFileAt(cgroup->dir.get(), file);
    if (held != cgroup->held.end() && actual.ok() &&
        SameLimit(WithHold(*cgroup, file, held->second), *actual) &&
        cgroup->pace.count(file) == 0) {
      return;
    }
  }
  CheckSlowly(cgroup, file, writer, slow, Delay::zero());
}

void DriftGuard::CheckSlowly(const BookedCgroupPtr& cgroup,
                             const std::string& file, const Writer& writer,
                             os::Reactor* slow, Delay delay) {
  {
    const absl::MutexLock lock(&slow_mutex_);
    if (!slow_due_.emplace(cgroup, file).second) return;
  }
  const auto check = [this, cgroup, file, writer, slow] {
    {
      // What changes from here on is due again.
      const absl::MutexLock lock(&slow_mutex_);
      slow_due_.erase({cgroup, file});
    }
    const Delay again = Check(cgroup, file, writer, Contested::kWait);
    if (again != kNever) CheckSlowly(cgroup, file, writer, slow, again);
  };
  if (delay == Delay::zero()) {
    slow->Post(check);
  } else {
    slow->After(delay, check);
  }
}

DriftGuard::Delay DriftGuard::Check(const BookedCgroupPtr& cgroup,
                                    const std::string& file,
                                    const Writer& writer, Contested contested) {
  const FileClaim claim = contested == Contested::kWait
                              ? FileClaim::Wait(cgroup, {file})
                              : FileClaim::Try(cgroup, {file});
  // What is right is known when its change is done.
  if (!claim) return kContested;
  Wish wish;
  {
    const absl::MutexLock lock(&cgroup->mutex);
    if (cgroup->forgotten) return kNever;
    const auto held = cgroup->held.find(file);
    const auto wanted =
        std::find_if(cgroup->wanted.begin(), cgroup->wanted.end(),
                     [&file](const Setting& s) { return s.file == file; });
    if (held != cgroup->held.end()) {
      wish.held = held->second;
    } else if (wanted != cgroup->wanted.end()) {
      wish.wanted = *wanted;
    } else {
      return kNever;
    }
    wish.is_hold = file == kMemoryHigh && cgroup->memory_hold;
    if (wish.is_hold) wish.held = WithHold(*cgroup, file, wish.text());
  }
  auto actual = os::ReadFileAt(cgroup->dir.get(), file);
  // Without the controller a limit was ignored when it was asked for.
  if (wish.held && absl::IsNotFound(actual.status()) && IsThere(*cgroup)) {
    const Delay again = HandOnController(*cgroup, file, *wish.held, writer);
    actual = os::ReadFileAt(cgroup->dir.get(), file);
    if (!actual.ok()) return again;
  }
  if (!actual.ok()) return kNever;
  const bool same = wish.held ? SameLimit(*wish.held, *actual)
                              : Holds(file, wish.wanted.value, *actual);
  if (same && file == kMemoryMax) ReleaseMemory(cgroup);
  DriftStep step = DriftStep::kNothing;
  {
    const absl::MutexLock lock(&cgroup->mutex);
    // After it was read: what is written from now on is nobody's drift.
    if (cgroup->forgotten) return kNever;
    const auto without = cgroup->pace.find(Without(file));
    if (without != cgroup->pace.end()) without->second.Repaired();
    if (same && !wish.held) Found(*cgroup, file, *actual);
    if (same && cgroup->pace.count(file) == 0) return kNever;
    step = cgroup->pace[file].Judge(options_.mode, same, *actual,
                                    std::chrono::steady_clock::now());
  }
  switch (step) {
    case DriftStep::kNothing:
      return kNever;
    case DriftStep::kWait:
      return FilePace::kRepairEvery;
    case DriftStep::kTell:
      Tell(*cgroup, file, *actual, wish.text(), writer, "left as it is");
      Count(file, /*repaired=*/false);
      return kNever;
    case DriftStep::kRepair:
      break;
  }
  return Repair(cgroup, file, wish, *actual, writer);
}

bool DriftGuard::HasRoom(BookedCgroup& cgroup, const std::string& file,
                         const Wish& wish, const std::string& actual,
                         const Writer& writer) {
  if (file != kMemoryMax) return true;
  const auto in_use = [&](bool reclaim) {
    return absl::IsFailedPrecondition(
        MakeRoom(cgroup.dir.get(), wish.text(), actual, reclaim));
  };
  if (!in_use(/*reclaim=*/false)) return true;
  {
    const absl::MutexLock lock(&cgroup.mutex);
    if (!cgroup.pace[file].IsNews(kInUse)) return false;
  }
  // Once: what is in use all the same shall not be taken again and again.
  if (!in_use(/*reclaim=*/true)) return true;
  Count(file, /*repaired=*/false);
  Tell(cgroup, file, actual, wish.text(), writer, kInUse);
  return false;
}

DriftGuard::Delay DriftGuard::Repair(const BookedCgroupPtr& booked,
                                     const std::string& file, const Wish& wish,
                                     const std::string& actual,
                                     const Writer& writer) {
  BookedCgroup& cgroup = *booked;
  if (!HasRoom(cgroup, file, wish, actual, writer)) {
    // A pod's own memory.high has no record from which a restart would know
    // what it was.
    if (IsLeaf(cgroup)) HoldMemory(booked, wish.text());
    return FilePace::kRepairEvery;
  }
  absl::StatusOr<std::string> now;
  if (wish.held) {
    now = RestoreLimit(cgroup.dir.get(), file, *wish.held, actual);
  } else {
    WriteOptions options;
    options.on_missing = [](const Setting&) { return absl::OkStatus(); };
    options.occupied = true;
    const absl::Status applied =
        ApplySettings(cgroup.dir.get(), cgroup.path, {wish.wanted}, options);
    now = applied.ok() ? os::ReadFileAt(cgroup.dir.get(), file) : applied;
  }
  if (now.ok()) {
    const absl::MutexLock lock(&cgroup.mutex);
    // Also where a cpuset cannot be unset again.
    if (!wish.is_hold) Found(cgroup, file, *now);
    cgroup.pace[file].Repaired();
  }
  Settle(cgroup, file, file, actual, now.ok() ? *now : wish.text(), writer,
         now.status());
  if (now.ok() && file == kMemoryMax) ReleaseMemory(booked);
  return kNever;
}

bool DriftGuard::IsLeaf(const BookedCgroup& cgroup) const {
  const size_t slash = cgroup.path.rfind('/');
  return book_.Find(cgroup.path.substr(0, slash)) != nullptr;
}

DriftGuard::Delay DriftGuard::HandOnController(BookedCgroup& cgroup,
                                               const std::string& file,
                                               const std::string& should_be,
                                               const Writer& writer) {
  const std::string controller = ControllerOf(file);
  const std::string without = Without(file);
  const std::string above = absl::StrCat("../", kControl);
  const auto handed_on = os::ReadFileAt(cgroup.dir.get(), above);
  // A module of the kernel's was unloaded: nothing here brings it back.
  const bool is_gone =
      absl::StrContains(
          absl::StrCat(" ", Stripped(handed_on.value_or("")), " "),
          absl::StrCat(" ", controller, " ")) &&
      !IsThere(cgroup, file);
  // What is above a pod belongs to the kubelet, or to systemd.
  const bool repair =
      !is_gone && options_.mode == DriftMode::kRepair && IsLeaf(cgroup);
  const std::string& pace = is_gone ? file : without;
  DriftStep step = DriftStep::kNothing;
  {
    const absl::MutexLock lock(&cgroup.mutex);
    step = cgroup.pace[pace].Judge(
        repair ? DriftMode::kRepair : DriftMode::kReport, /*same=*/false,
        without, std::chrono::steady_clock::now());
  }
  if (step == DriftStep::kTell) {
    const std::string changed = is_gone ? file : kControl;
    Count(changed, /*repaired=*/false);
    Tell(cgroup, changed, is_gone ? "no such file" : without,
         is_gone ? should_be : controller, writer, "left as it is");
  }
  if (step == DriftStep::kWait) return FilePace::kRepairEvery;
  if (step != DriftStep::kRepair) return kNever;
  const absl::Status status = os::WriteKernelFile(
      cgroup.dir.get(), above, absl::StrCat("+", controller));
  // Taken again by now: that is no repair.
  if (!status.ok() || IsThere(cgroup, file)) {
    Settle(cgroup, kControl, without, without, controller, writer, status);
  }
  return kNever;
}

void DriftGuard::Settle(BookedCgroup& cgroup, const std::string& file,
                        const std::string& pace, const std::string& was,
                        const std::string& should_be, const Writer& writer,
                        const absl::Status& status) {
  if (status.ok()) {
    Count(file, /*repaired=*/true);
    Tell(cgroup, file, was, should_be, writer, "repaired");
    return;
  }
  // It went in the meantime.
  if (!IsThere(cgroup)) return;
  const std::string error = status.ToString();
  {
    const absl::MutexLock lock(&cgroup.mutex);
    if (!cgroup.pace[pace].IsNews(error)) return;
  }
  Count(file, /*repaired=*/false);
  Tell(cgroup, file, was, should_be, writer, error);
}

DriftGuard::Delay DriftGuard::NoteTheRest(BookedCgroup& cgroup) {
  const auto files = os::ListDirAt(cgroup.dir.get(), ".");
  if (!files.ok()) return kNever;
  const absl::MutexLock lock(&cgroup.mutex);
  // Whoever writes now will say what is right.
  if (!cgroup.claimed.empty()) return kContested;
  for (const std::string& file : *files) {
    if (!IsLimitFile(file) || cgroup.held.count(file) != 0) continue;
    // Partitions (partition.h) write these in every cgroup above their own;
    // the nice value is cpu.weight once more.
    if (file == "cpuset.cpus.exclusive" || file == "cpuset.cpus.partition" ||
        file == "cpu.weight.nice" ||
        (file == "cpu.weight" && cgroup.held.count("cpu.weight.nice") != 0)) {
      continue;
    }
    const bool waits =
        std::any_of(cgroup.wanted.begin(), cgroup.wanted.end(),
                    [&file](const Setting& s) { return s.file == file; });
    if (waits) continue;
    auto text = os::ReadFileAt(cgroup.dir.get(), file);
    if (text.ok()) cgroup.held[file] = *std::move(text);
  }
  if (cgroup.cpus_in_force.empty()) {
    cgroup.cpus_in_force = InForce(cgroup.dir.get(), kCpus).value_or(CpuSet());
  }
  cgroup.complete = true;
  return kNever;
}

void DriftGuard::CheckEffective(BookedCgroup& cgroup) {
  const auto actual = InForce(cgroup.dir.get(), kCpus);
  if (!actual.ok()) return;
  CpuSet before;
  DriftStep step = DriftStep::kNothing;
  {
    const absl::MutexLock lock(&cgroup.mutex);
    const auto held = cgroup.held.find(kCpus);
    if (held == cgroup.held.end() || Stripped(held->second).empty() ||
        cgroup.claimed.count(kCpus) != 0) {
      return;
    }
    before = cgroup.cpus_in_force;
    // Nothing here can repair it: a CPU went offline, or a cgroup above the
    // pod's has fewer than when it was written.
    step = cgroup.pace[kEffective].Judge(
        DriftMode::kReport, actual->ContainsAll(before), actual->ToString(),
        std::chrono::steady_clock::now());
  }
  if (step != DriftStep::kTell) return;
  Count(kEffective, /*repaired=*/false);
  Tell(cgroup, kEffective, actual->ToString(), before.ToString(), {},
       "out of reach: a CPU is offline, or the cgroup above has fewer");
}

void DriftGuard::ShowCounters() {
  if (options_.metrics == nullptr) return;
  std::vector<std::string> files = LimitFilesByName();
  files.insert(files.end(), {kEffective, kControl});
  for (const std::string& file : files) (void)Unrepaired(file);
}

metrics::Counter& DriftGuard::Unrepaired(const std::string& file) {
  return options_.metrics->AddCounter(
      "pinion_cgroup_drift_unrepaired_total",
      "Limits that something else changed and pinion left so: it was to report "
      "only, or could not do better; by file.",
      {{"file", file}});
}

void DriftGuard::Count(const std::string& file, bool repaired) {
  if (options_.metrics == nullptr) return;
  if (repaired) {
    options_.metrics
        ->AddCounter("pinion_cgroup_drift_repairs_total",
                     "Limits that something else changed and pinion set right "
                     "again, by file.",
                     {{"file", file}})
        .Increment();
    return;
  }
  Unrepaired(file).Increment();
}

}  // namespace pinion::cgroup
