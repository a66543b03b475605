#include "tools/leftovers.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ipam/pool_reader.h"
#include "os/file.h"

namespace pinion::tools {
namespace {

size_t Lines(const std::string& path) {
  const auto text = os::ReadFileAt(AT_FDCWD, path, 16 << 20);
  if (!text.ok()) return 0;
  return static_cast<size_t>(std::count(text->begin(), text->end(), '\n'));
}

size_t Entries(const std::string& directory) {
  const auto names = os::ListDirAt(AT_FDCWD, directory);
  return names.ok() ? names->size() : 0;
}

size_t Directories(const std::string& top) {
  size_t count = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(top, error), end;
       !error && it != end; it.increment(error)) {
    if (it->is_directory(error)) ++count;
  }
  return count;
}

size_t OwnedAddresses(const std::string& directory) {
  size_t count = 0;
  const auto pools = ipam::ListPools(directory);
  if (!pools.ok()) return 0;
  for (const std::string& pool : *pools) {
    const auto entries = ipam::ReadPool(absl::StrCat(directory, "/", pool));
    if (!entries.ok()) continue;
    count += static_cast<size_t>(std::count_if(
        entries->begin(), entries->end(), [](const ipam::PoolEntry& entry) {
          return entry.state == ipam::PoolEntry::State::kOwned;
        }));
  }
  return count;
}

size_t Descendants(const std::string& pid) {
  const auto text = os::ReadFileAt(
      AT_FDCWD, absl::StrCat("/proc/", pid, "/task/", pid, "/children"));
  if (!text.ok()) return 0;
  size_t count = 0;
  const std::vector<std::string> children =
      absl::StrSplit(*text, ' ', absl::SkipWhitespace());
  for (const std::string& child : children) count += 1 + Descendants(child);
  return count;
}

}  // namespace

Census Count(const Places& places) {
  Census census;
  census["mounts"] = Lines("/proc/self/mountinfo");
  // Two lines of heading.
  census["links"] = Lines("/proc/thread-self/net/dev") - 2;
  census["processes"] = Descendants(std::to_string(getpid()));
  if (!places.cgroup_directory.empty()) {
    census["cgroups"] = Directories(places.cgroup_directory);
  }
  if (!places.root.empty()) {
    census["layers"] = Entries(absl::StrCat(places.root, "/layers"));
    census["container directories"] =
        Entries(absl::StrCat(places.root, "/containers"));
  }
  if (!places.state.empty()) {
    census["pod directories"] = Entries(absl::StrCat(places.state, "/pods"));
    census["addresses in use"] =
        OwnedAddresses(absl::StrCat(places.state, "/ipam"));
  }
  return census;
}

std::vector<std::string> Leftovers(const Census& before, const Census& after) {
  std::vector<std::string> left;
  for (const auto& [kind, count] : after) {
    const auto found = before.find(kind);
    const size_t had = found == before.end() ? 0 : found->second;
    if (count > had) {
      left.push_back(absl::StrCat(kind, ": ", count - had, " more"));
    }
  }
  return left;
}

}  // namespace pinion::tools
