#include "runtime/cgroup/usage.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/cgroup/cgroup_dir.h"

namespace pinion::cgroup {
namespace {

// memory.stat, the longest, has some 60 lines of 30 bytes; io.stat has a line
// per disk.
constexpr size_t kUsualSize = 4096;
constexpr size_t kLargestFile = size_t{16} << 20;

// The file is not there, the cgroup is gone, or PSI is switched off.
bool IsAbsence(int error) {
  return error == ENOENT || error == ENODEV || error == EOPNOTSUPP;
}

// One open, and in the usual case two reads, without allocation but the
// result's. nullopt: see IsAbsence.
absl::StatusOr<std::optional<std::string>> Read(int dir, const char* file) {
  const os::UniqueFd fd(openat(dir, file, O_RDONLY | O_CLOEXEC));
  std::optional<std::string> text;
  int error = fd.valid() ? 0 : errno;
  if (fd.valid()) {
    text.emplace();
    std::array<char, kUsualSize> buffer;
    ssize_t n = 0;
    while ((n = read(fd.get(), buffer.data(), buffer.size())) != 0) {
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        error = errno;
        break;
      }
      text->append(buffer.data(), static_cast<size_t>(n));
      if (text->size() > kLargestFile) error = EFBIG;
      if (error != 0) break;
    }
  }
  if (error == 0) return text;
  if (IsAbsence(error)) return std::optional<std::string>();
  return os::ErrnoStatus(error, absl::StrCat("read ", file));
}

// Parses `file` into `out`; an absent file leaves it alone.
template <typename Parser, typename Out>
absl::Status Into(int dir, const char* file, Parser parse, Out& out) {
  PINION_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                          Read(dir, file));
  if (text) out = parse(*text);
  return absl::OkStatus();
}

// Cgroups visited for one count: a privileged container may make any number.
constexpr int kMostCgroups = 4096;
constexpr int kDeepest = 16;

absl::Status AddProcesses(int dir, int depth, int& left,
                          std::vector<pid_t>& pids) {
  std::vector<pid_t> own;
  PINION_RETURN_IF_ERROR(Into(dir, "cgroup.procs", ParsePids, own));
  pids.insert(pids.end(), own.begin(), own.end());
  if (depth >= kDeepest) return absl::OkStatus();
  const auto children = ChildCgroups(dir, ".");
  if (!children.ok()) return absl::OkStatus();  // removed meanwhile
  for (const std::string& child : *children) {
    if (--left < 0) return absl::OkStatus();
    const os::UniqueFd fd(
        openat(dir, child.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) continue;
    PINION_RETURN_IF_ERROR(AddProcesses(fd.get(), depth + 1, left, pids));
  }
  return absl::OkStatus();
}

absl::Status AddHugePages(int dir, std::vector<HugePages>& out) {
  const auto names = os::ListDirAt(dir, ".");
  if (!names.ok()) return absl::OkStatus();  // removed meanwhile
  for (const std::string& name : *names) {
    const std::string size = HugePageSizeOf(name);
    if (size.empty()) continue;
    OptionalCount current;
    PINION_RETURN_IF_ERROR(Into(dir, name.c_str(), ParseCount, current));
    if (current) out.push_back({size, *current});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Usage> ReadUsage(int dir) {
  Usage usage;
  PINION_RETURN_IF_ERROR(Into(dir, "cpu.stat", ParseCpuStat, usage.cpu));
  PINION_RETURN_IF_ERROR(
      Into(dir, "cpu.pressure", ParsePressure, usage.cpu_pressure));
  PINION_RETURN_IF_ERROR(
      Into(dir, "memory.pressure", ParsePressure, usage.memory_pressure));
  PINION_RETURN_IF_ERROR(
      Into(dir, "io.pressure", ParsePressure, usage.io_pressure));
  PINION_RETURN_IF_ERROR(
      Into(dir, "memory.current", ParseCount, usage.memory_current));
  // Without it there is no memory controller, and no other file of it.
  if (usage.memory_current) {
    PINION_RETURN_IF_ERROR(
        Into(dir, "memory.max", ParseCount, usage.memory_max));
    PINION_RETURN_IF_ERROR(
        Into(dir, "memory.stat", ParseMemoryStat, usage.memory));
    PINION_RETURN_IF_ERROR(
        Into(dir, "memory.swap.current", ParseCount, usage.swap_current));
    if (usage.swap_current) {
      PINION_RETURN_IF_ERROR(
          Into(dir, "memory.swap.max", ParseCount, usage.swap_max));
    }
  }
  int left = kMostCgroups;
  PINION_RETURN_IF_ERROR(AddProcesses(dir, 0, left, usage.processes));
  return usage;
}

absl::StatusOr<Details> ReadDetails(int dir) {
  Details details;
  PINION_RETURN_IF_ERROR(
      Into(dir, "memory.peak", ParseCount, details.memory_peak));
  PINION_RETURN_IF_ERROR(
      Into(dir, "memory.low", ParseCount, details.memory_low));
  PINION_RETURN_IF_ERROR(
      Into(dir, "memory.high", ParseCount, details.memory_high));
  PINION_RETURN_IF_ERROR(
      Into(dir, "memory.events", ParseMemoryEvents, details.memory_events));
  PINION_RETURN_IF_ERROR(Into(dir, "io.stat", ParseIoStat, details.io));
  PINION_RETURN_IF_ERROR(
      Into(dir, "pids.current", ParseCount, details.threads));
  PINION_RETURN_IF_ERROR(
      Into(dir, "pids.max", ParseCount, details.threads_max));
  PINION_RETURN_IF_ERROR(Into(dir, "cpu.max", ParseCpuMax, details.cpu_max));
  PINION_RETURN_IF_ERROR(
      Into(dir, "cpu.weight", ParseCount, details.cpu_weight));
  PINION_RETURN_IF_ERROR(AddHugePages(dir, details.huge_pages));
  return details;
}

}  // namespace pinion::cgroup
