#include "ipam/pool_reader.h"

#include <fcntl.h>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "ipam/pool_file.h"
#include "ipam/slot.h"
#include "os/file.h"

namespace pinion::ipam {

absl::StatusOr<std::vector<PoolEntry>> ReadPool(const std::string& path,
                                                const Clock& clock) {
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      clock.Now().time_since_epoch());
  const auto age =
      [now](uint64_t since_ms) -> std::optional<std::chrono::milliseconds> {
    const std::chrono::milliseconds since(static_cast<int64_t>(since_ms));
    if (since_ms == 0 || since > now) return std::nullopt;
    return now - since;
  };
  PINION_ASSIGN_OR_RETURN(
      std::unique_ptr<const PoolFile> file,
      PoolFile::OpenForReading(path, static_cast<uint64_t>(now.count())));
  std::vector<PoolEntry> entries;
  for (uint64_t i = 0; i < file->slot_count(); ++i) {
    const uint64_t word = file->slot(i).load(std::memory_order_acquire);
    PoolEntry entry;
    entry.address = *file->first().Plus(i);
    switch (slot::TagOf(word)) {
      case slot::Tag::kFree:
      case slot::Tag::kInvalid:
        continue;
      case slot::Tag::kOwned: {
        entry.state = PoolEntry::State::kOwned;
        entry.owner = slot::OwnerOf(word);
        const uint64_t stamp = file->stamp(i).load(std::memory_order_relaxed);
        if (slot::GenerationOf(stamp) == slot::GenerationOf(word)) {
          entry.age = age(stamp & slot::kPayloadMask);
        }
        break;
      }
      case slot::Tag::kCooling:
        entry.state = PoolEntry::State::kReleased;
        entry.age = age(slot::ReleasedAtMs(word));
        break;
    }
    entries.push_back(entry);
  }
  return entries;
}

absl::StatusOr<std::vector<std::string>> ListPools(
    const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names =
      os::ListDirAt(AT_FDCWD, directory);
  if (names.status().code() == absl::StatusCode::kNotFound) {
    return std::vector<std::string>{};
  }
  PINION_RETURN_IF_ERROR(names.status());
  std::vector<std::string> pools;
  for (const std::string& name : *names) {
    // What is being made starts with a dot.
    if (name.front() == '.') continue;
    if (os::ListDirAt(AT_FDCWD, absl::StrCat(directory, "/", name)).ok()) {
      PINION_ASSIGN_OR_RETURN(const auto below,
                              ListPools(absl::StrCat(directory, "/", name)));
      for (const std::string& pool : below) {
        pools.push_back(absl::StrCat(name, "/", pool));
      }
      continue;
    }
    // Pools are named after a range.
    if (name.find(".corrupt-") == std::string::npos &&
        name.find_first_of("_-") != std::string::npos) {
      pools.push_back(name);
    }
  }
  return pools;
}

}  // namespace pinion::ipam
