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
    // Held already: what somebody else wrote since is drift.
    const bool is_drift =
        limit && cgroup.memory_hold == limit && Bytes(*actual) != Bytes(target);
    cgroup.memory_hold = limit;
    if (is_drift) return false;
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

void KeepHold(BookedCgroup& cgroup) {
  std::optional<std::string> limit;
  {
    const absl::MutexLock lock(&cgroup.mutex);
    limit = cgroup.memory_hold;
  }
  if (!limit) return;
  const auto held = Bring(cgroup, limit);
  if (held.ok()) return;
  // The guard will see that it is not, and say so.
  Log(LogLevel::kWarning, "memory.high does not hold what was updated",
      {{"cgroup", cgroup.path}, {"error", held.status().ToString()}});
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

void HoldMemory(const BookedCgroupPtr& cgroup, const std::string& limit) {
  const bool is_news = !IsHeld(*cgroup);
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
  std::erase_if(settings, [&limit](const Setting& setting) {
    return setting.file == kMemoryMax && limit &&
           Bytes(*limit) == Bytes(setting.value);
  });
  return settings;
}

void SettleHold(const BookedCgroupPtr& cgroup,
                const std::map<std::string, std::string>& noted) {
  const bool high = noted.count(kMemoryHigh) != 0;
  if (noted.count(kMemoryMax) == 0) {
    if (high) KeepHold(*cgroup);
  } else if (high) {
    const absl::MutexLock lock(&cgroup->mutex);
    cgroup->memory_hold.reset();
  } else {
    // Its claim comes after that to memory.max, as the guard has it.
    ReleaseMemory(cgroup);
  }
}

void ReleaseMemory(const BookedCgroupPtr& cgroup) {
  if (!IsHeld(*cgroup)) return;
  const FileClaim claim = FileClaim::Wait(cgroup, {kMemoryHigh});
  const absl::StatusOr<bool> released = Bring(*cgroup, std::nullopt);
  Log(LogLevel::kInfo, "memory.high is what it was before it held a container",
      {{"cgroup", cgroup->path},
       {"outcome", released.ok() ? "released" : released.status().ToString()}});
}

HoldsUntilTheEnd::~HoldsUntilTheEnd() {
  for (const BookedCgroupPtr& cgroup : book_.Below("")) ReleaseMemory(cgroup);
}

}  // namespace pinion::cgroup
