#include "runtime/cgroup/memory_hold.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "os/file.h"
#include "runtime/cgroup/limit_table.h"
#include "runtime/cgroup/limit_writer.h"

namespace pinion::cgroup {
namespace {

constexpr uint64_t kMostBelow = uint64_t{64} << 20;

uint64_t Bytes(const std::string& text) {
  return ParseBytes(std::string(absl::StripAsciiWhitespace(text)))
      .value_or(UINT64_MAX);
}

// What memory.high shall read without a hold. If nobody has said, it is what it
// reads now, and that is noted: what the hold makes of it is not.
std::string Wished(BookedCgroup& cgroup, const std::string& actual)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(cgroup.mutex) {
  const auto held = cgroup.held.find(kMemoryHigh);
  if (held != cgroup.held.end()) return held->second;
  for (const Setting& setting : cgroup.wanted) {
    if (setting.file == kMemoryHigh) return setting.value;
  }
  cgroup.held[kMemoryHigh] = actual;
  return actual;
}

// Whether memory.high was written.
absl::StatusOr<bool> Bring(BookedCgroup& cgroup,
                           const std::optional<std::string>& limit) {
  auto actual = os::ReadFileAt(cgroup.dir.get(), kMemoryHigh);
  if (absl::IsNotFound(actual.status())) return false;  // it went
  if (!actual.ok()) return actual.status();
  std::string target;
  {
    const absl::MutexLock lock(&cgroup.mutex);
    if (cgroup.forgotten) return false;
    target = Wished(cgroup, *actual);
    cgroup.memory_hold = limit;
  }
  if (limit) target = WithHold(target, *limit);
  if (Bytes(target) == Bytes(*actual)) return false;
  const absl::Status written =
      os::WriteKernelFile(cgroup.dir.get(), kMemoryHigh,
                          std::string(absl::StripAsciiWhitespace(target)));
  if (!written.ok()) return written;
  return true;
}

bool IsHeld(BookedCgroup& cgroup) {
  const absl::MutexLock lock(&cgroup.mutex);
  return cgroup.memory_hold.has_value();
}

const Setting* Find(const std::vector<Setting>& settings, const char* file) {
  for (const Setting& setting : settings) {
    if (setting.file == file) return &setting;
  }
  return nullptr;
}

// After an update: memory.max that was left out of it (WithoutHeld) is what
// the cgroup is held at. Whether there is one.
bool HoldAt(BookedCgroup& cgroup, const std::vector<Setting>& settings) {
  const Setting* const max = Find(settings, kMemoryMax);
  if (max == nullptr) return false;
  const absl::MutexLock lock(&cgroup.mutex);
  if (!cgroup.memory_hold || Bytes(*cgroup.memory_hold) == Bytes(max->value)) {
    return false;
  }
  cgroup.memory_hold = max->value;
  cgroup.held.erase(kMemoryMax);
  std::erase_if(cgroup.wanted,
                [](const Setting& s) { return s.file == kMemoryMax; });
  cgroup.wanted.push_back(*max);
  return true;
}

// `claimed`: memory.high is.
void KeepHold(const BookedCgroupPtr& cgroup, bool claimed) {
  std::optional<FileClaim> claim;
  if (!claimed) claim.emplace(FileClaim::Wait(cgroup, {kMemoryHigh}));
  std::optional<std::string> limit;
  {
    const absl::MutexLock lock(&cgroup->mutex);
    limit = cgroup->memory_hold;
  }
  if (!limit) return;
  const auto held = Bring(*cgroup, limit);
  if (held.ok()) return;
  // The guard will see that it is not, and say so.
  Log(LogLevel::kWarning, "memory.high does not hold what was updated",
      {{"cgroup", cgroup->path}, {"error", held.status().ToString()}});
}

}  // namespace

std::string WithHold(const std::string& text, const std::string& limit) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  // A little below: what is held at the limit itself is now and then just over
  // it (each CPU is charged for 64 pages at a time, mm/memcontrol.c), and then
  // there is no room to lower memory.max.
  const uint64_t most = Bytes(limit);
  // The kernel rounds down to pages.
  const uint64_t bytes = (most - std::min(most / 32, kMostBelow)) / page * page;
  return bytes < Bytes(text) ? absl::StrCat(bytes) : text;
}

std::string WithHold(const BookedCgroup& cgroup, const std::string& file,
                     const std::string& text) {
  return file == kMemoryHigh && cgroup.memory_hold
             ? WithHold(text, *cgroup.memory_hold)
             : text;
}

void HoldMemory(const BookedCgroupPtr& cgroup, const std::string& limit) {
  bool is_news = false;
  {
    const absl::MutexLock lock(&cgroup->mutex);
    // Held already: whatever else is in memory.high by now is drift, the value
    // without the hold, too, and the guard's to see.
    if (cgroup->memory_hold == limit) return;
    is_news = !cgroup->memory_hold.has_value();
  }
  const FileClaim claim = FileClaim::Wait(cgroup, {kMemoryHigh});
  const absl::StatusOr<bool> held = Bring(*cgroup, limit);
  if (!is_news || (held.ok() && !*held)) return;
  Log(LogLevel::kWarning,
      "what uses more than its memory.max is held by memory.high",
      {{"cgroup", cgroup->path},
       {"memory.max", std::string(absl::StripAsciiWhitespace(limit))},
       {"outcome", held.ok() ? "held" : held.status().ToString()}});
}

std::vector<Setting> WithoutHeld(BookedCgroup& cgroup,
                                 std::vector<Setting> settings) {
  std::optional<std::string> limit;
  {
    const absl::MutexLock lock(&cgroup.mutex);
    limit = cgroup.memory_hold;
  }
  if (!limit) return settings;
  const auto used = os::ReadFileAt(cgroup.dir.get(), "memory.current");
  std::erase_if(settings, [&](const Setting& setting) {
    if (setting.file != kMemoryMax) return false;
    const uint64_t value = Bytes(setting.value);
    return value == Bytes(*limit) ||
           (value > Bytes(*limit) && used.ok() && value < Bytes(*used));
  });
  return settings;
}

void SettleHold(const BookedCgroupPtr& cgroup,
                const std::vector<Setting>& settings,
                const std::map<std::string, std::string>& noted) {
  const bool high = noted.count(kMemoryHigh) != 0;
  if (noted.count(kMemoryMax) == 0) {
    if (HoldAt(*cgroup, settings) || high) {
      KeepHold(cgroup, /*claimed=*/Find(settings, kMemoryHigh) != nullptr);
    }
  } else if (high) {
    const absl::MutexLock lock(&cgroup->mutex);
    cgroup->memory_hold.reset();
  } else {
    // Its claim comes after that to memory.max, as the guard has it.
    ReleaseMemory(cgroup);
  }
}

void EndOldHold(int dir, std::vector<Setting>& settings) {
  if (Find(settings, kMemoryHigh) == nullptr) {
    settings.push_back({kMemoryHigh, "max"});
  }
  const std::string wished = Find(settings, kMemoryHigh)->value;
  const Setting* const max = Find(settings, kMemoryMax);
  const auto actual = os::ReadFileAt(dir, kMemoryHigh);
  if (max == nullptr || !actual.ok() || Bytes(*actual) >= Bytes(wished) ||
      Bytes(*actual) != Bytes(WithHold(wished, max->value))) {
    return;
  }
  // If this fails, the guard will take it for drift.
  (void)os::WriteKernelFile(dir, kMemoryHigh, wished);
}

void ReleaseMemory(const BookedCgroupPtr& cgroup) {
  if (!IsHeld(*cgroup)) return;
  const FileClaim claim = FileClaim::Wait(cgroup, {kMemoryHigh});
  const absl::StatusOr<bool> released = Bring(*cgroup, std::nullopt);
  Log(LogLevel::kInfo, "memory.high is what it was before it held a container",
      {{"cgroup", cgroup->path},
       {"outcome", released.ok() ? "released" : released.status().ToString()}});
}

void DropHolds(LimitBook& book) {
  for (const BookedCgroupPtr& cgroup : book.Forget("")) {
    std::string high;
    {
      const absl::MutexLock lock(&cgroup->mutex);
      if (!cgroup->memory_hold) continue;
      high = Wished(*cgroup, "max");
    }
    (void)os::WriteKernelFile(cgroup->dir.get(), kMemoryHigh,
                              std::string(absl::StripAsciiWhitespace(high)));
  }
}

HoldsUntilTheEnd::~HoldsUntilTheEnd() {
  for (const BookedCgroupPtr& cgroup : book_.Below("")) ReleaseMemory(cgroup);
}

}  // namespace pinion::cgroup
