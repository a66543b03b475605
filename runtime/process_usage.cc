#include "runtime/process_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "os/file.h"
#include "runtime/cgroup/stat_files.h"

namespace pinion::runtime {
namespace {

constexpr std::string_view kSocket = "socket:";

void AddDescriptors(pid_t pid, ProcessUsage& usage) {
  auto dir = os::OpenAt(AT_FDCWD, absl::StrCat("/proc/", pid, "/fd"),
                        O_RDONLY | O_DIRECTORY);
  if (!dir.ok()) return;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(dir->get()),
                                                   closedir);
  if (stream == nullptr) return;
  const int fd = dir->Release();  // closedir closes it.
  while (const dirent* entry = readdir(stream.get())) {
    if (entry->d_name[0] == '.') continue;
    ++usage.descriptors;
    char target[kSocket.size()];
    const ssize_t n = readlinkat(fd, entry->d_name, target, sizeof(target));
    if (n == static_cast<ssize_t>(kSocket.size()) &&
        std::string_view(target, kSocket.size()) == kSocket) {
      ++usage.sockets;
    }
  }
}

}  // namespace

std::optional<uint64_t> ParseMaxOpenFiles(std::string_view limits) {
  constexpr std::string_view kName = "Max open files";
  size_t at = limits.find(kName);
  if (at == std::string_view::npos) return std::nullopt;
  at = limits.find_first_not_of(' ', at + kName.size());
  if (at == std::string_view::npos) return std::nullopt;
  limits.remove_prefix(at);
  if (limits.substr(0, 9) == "unlimited") return cgroup::kNoLimit;
  uint64_t soft = 0;
  const auto [end, error] =
      std::from_chars(limits.data(), limits.data() + limits.size(), soft);
  if (error != std::errc()) return std::nullopt;
  return soft;
}

ProcessUsage MeasureProcesses(const std::vector<pid_t>& pids, pid_t first) {
  ProcessUsage usage;
  for (const pid_t pid : pids) AddDescriptors(pid, usage);
  if (first > 0) {
    const auto limits =
        os::ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", first, "/limits"));
    if (limits.ok()) usage.max_open_files = ParseMaxOpenFiles(*limits);
  }
  return usage;
}

}  // namespace pinion::runtime
