#include "runtime/cgroup/limit_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/cpu_set.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/cgroup/cpuset_files.h"
#include "runtime/cgroup/drift.h"
#include "runtime/cgroup/limit_table.h"
#include "runtime/cgroup/take_back.h"

namespace pinion::cgroup {
namespace {

// One file that is open for the whole change: read, written, read back.
struct OpenSetting {
  std::string file;
  std::string value;
  os::UniqueFd fd;
  std::string before;
};

absl::StatusOr<std::string> ReadValue(int fd, const std::string& file) {
  std::string text;
  char buffer[4096];
  while (text.size() < (size_t{1} << 20)) {
    const ssize_t n =
        pread(fd, buffer, sizeof(buffer), static_cast<off_t>(text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os::ErrnoStatus(absl::StrCat("read ", file));
    if (n == 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

absl::Status WriteValue(int fd, const std::string& file,
                        const std::string& value) {
  ssize_t n = 0;
  do {
    n = pwrite(fd, value.data(), value.size(), 0);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return absl::OkStatus();
  return os::ErrnoStatus(absl::StrCat("write \"", value, "\" to ", file));
}

bool Exists(int dir, const std::string& file) {
  struct stat st = {};
  return fstatat(dir, file.c_str(), &st, 0) == 0;
}

bool MachineHasSwap() {
  const auto swaps = os::ReadFileAt(AT_FDCWD, "/proc/swaps");
  // The first line is the heading.
  return swaps.ok() && std::count(swaps->begin(), swaps->end(), '\n') > 1;
}

// `size` as in "2MB".
bool MachineHasHugePages(const std::string& size) {
  uint64_t number = 0;
  if (size.size() < 3 ||
      !absl::SimpleAtoi(size.substr(0, size.size() - 2), &number)) {
    return true;
  }
  const char unit = size[size.size() - 2];
  const uint64_t kib = unit == 'G'   ? number << 20
                       : unit == 'M' ? number << 10
                                     : number;
  const std::string dir =
      absl::StrCat("/sys/kernel/mm/hugepages/hugepages-", kib, "kB/");
  for (const char* file : {"nr_hugepages", "nr_overcommit_hugepages"}) {
    const auto text = os::ReadFileAt(AT_FDCWD, dir + file);
    if (text.ok() && absl::StripAsciiWhitespace(*text) != "0") return true;
  }
  return false;
}

// Whether `setting` holds although there is no such file.
bool HoldsWithoutFile(int dir, const Setting& setting) {
  if (setting.file == "memory.swap.max") {
    return Exists(dir, "memory.max") &&
           (setting.value == "max" || !MachineHasSwap());
  }
  if (!absl::StartsWith(setting.file, "hugetlb.")) return false;
  const std::vector<std::string> parts = absl::StrSplit(setting.file, '.');
  // Before Linux 5.7 there is no reservation limit; .max holds alone.
  if (absl::EndsWith(setting.file, ".rsvd.max") &&
      Exists(dir, absl::StrCat("hugetlb.", parts[1], ".max"))) {
    return true;
  }
  return setting.value == "0" && !MachineHasHugePages(parts[1]);
}

absl::StatusOr<std::vector<OpenSetting>> FindDifferences(
    int dir, const std::vector<Setting>& settings,
    const WriteOptions& options) {
  std::vector<OpenSetting> changes;
  for (const Setting& setting : settings) {
    auto fd = os::OpenAt(dir, setting.file, O_RDWR);
    if (absl::IsNotFound(fd.status())) {
      if (HoldsWithoutFile(dir, setting)) continue;
      PINION_RETURN_IF_ERROR(options.on_missing(setting));
      continue;
    }
    PINION_RETURN_IF_ERROR(fd.status());
    PINION_ASSIGN_OR_RETURN(std::string before,
                            ReadValue(fd->get(), setting.file));
    if (Holds(setting.file, setting.value, before)) {
      if (options.noted) options.noted(setting.file, before);
      continue;
    }
    std::string value = setting.value;
    if (absl::StartsWith(value, "- ")) {
      value = absl::StrCat(before.substr(0, before.find(' ')), value.substr(1));
    }
    changes.push_back(
        {setting.file, std::move(value), *std::move(fd), std::move(before)});
  }
  return changes;
}

uint64_t Bytes(const std::string& text) {
  return ParseBytes(std::string(absl::StripAsciiWhitespace(text)))
      .value_or(UINT64_MAX);
}

// Room first: swap that grows comes before memory that shrinks.
void OrderMemory(std::vector<OpenSetting>& changes) {
  const auto find = [&changes](const char* file) {
    return std::find_if(changes.begin(), changes.end(),
                        [file](const auto& c) { return c.file == file; });
  };
  const auto memory = find("memory.max");
  const auto swap = find("memory.swap.max");
  if (memory == changes.end() || swap == changes.end() || swap < memory) return;
  const bool shrinks = Bytes(memory->value) < Bytes(memory->before);
  const bool grows = Bytes(swap->value) > Bytes(swap->before);
  if (shrinks && grows) std::rotate(memory, swap, swap + 1);
}

// What was asked for is to be had as a whole: from the parent before it is
// written, and (`all`) as it stands afterwards.
absl::Status CheckEffective(int dir, const OpenSetting& change, bool all) {
  PINION_ASSIGN_OR_RETURN(
      const CpuSet effective,
      all ? InForce(dir, change.file) : InForceAbove(dir, change.file));
  PINION_ASSIGN_OR_RETURN(const CpuSet wanted, CpuSet::Parse(change.value));
  if (wanted.empty() ||
      (all ? effective == wanted : effective.ContainsAll(wanted))) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      change.file, " ", change.value,
      " is not to be had: ", all ? "its " : "the parent's ", change.file,
      ".effective is \"", effective.ToString(), "\""));
}

absl::Status ApplyOne(int dir, const OpenSetting& change,
                      const WriteOptions& options) {
  if (options.occupied && change.file == "memory.max") {
    PINION_RETURN_IF_ERROR(
        MakeRoom(dir, change.value, change.before, /*reclaim=*/true));
  }
  const bool cpuset = IsCpuset(change.file);
  if (cpuset) {
    PINION_RETURN_IF_ERROR(CheckEffective(dir, change, /*all=*/false));
  }
  if (IsKeyedFile(change.file)) {
    for (const absl::string_view line :
         absl::StrSplit(change.value, '\n', absl::SkipEmpty())) {
      PINION_RETURN_IF_ERROR(
          WriteValue(change.fd.get(), change.file, std::string(line)));
    }
  } else {
    PINION_RETURN_IF_ERROR(
        WriteValue(change.fd.get(), change.file,
                   change.value.empty() ? "\n" : change.value));
  }
  PINION_ASSIGN_OR_RETURN(const std::string actual,
                          ReadValue(change.fd.get(), change.file));
  if (!Holds(change.file, change.value, actual)) {
    return absl::FailedPreconditionError(absl::StrCat(
        change.file, " reads \"", absl::StripAsciiWhitespace(actual),
        "\" after \"", change.value, "\" was written"));
  }
  if (cpuset) {
    PINION_RETURN_IF_ERROR(CheckEffective(dir, change, /*all=*/true));
  }
  if (options.noted) options.noted(change.file, actual);
  return absl::OkStatus();
}

absl::StatusOr<std::string> UndoOne(int dir, const OpenSetting& change,
                                    const std::string& now, bool occupied) {
  if (occupied && change.file == "memory.max") {
    PINION_RETURN_IF_ERROR(MakeRoom(dir, change.before, now, /*reclaim=*/true));
  }
  return RestoreLimit(dir, change.file, change.before, now);
}

void Undo(int dir, const std::string& name, const OpenSetting& change,
          const WriteOptions& options) {
  // What the kernel refused has changed nothing.
  const auto now = ReadValue(change.fd.get(), change.file);
  if (now.ok() && *now == change.before) return;
  const auto undone = UndoOne(dir, change, now.value_or(""), options.occupied);
  if (!undone.ok()) {
    Log(LogLevel::kWarning, "a limit could not be set back",
        {{"cgroup", name}, {"error", undone.status().ToString()}});
  } else if (options.undone && !SameLimit(change.before, *undone)) {
    options.undone(change.file, *undone);
  }
}

}  // namespace

absl::Status MakeRoom(int dir, const std::string& limit_text,
                      const std::string& now, bool reclaim) {
  const uint64_t limit = Bytes(limit_text);
  if (limit >= Bytes(now)) return absl::OkStatus();
  const auto in_use = [dir]() -> absl::StatusOr<uint64_t> {
    PINION_ASSIGN_OR_RETURN(const std::string usage,
                            os::ReadFileAt(dir, "memory.current"));
    return Bytes(usage);
  };
  PINION_ASSIGN_OR_RETURN(uint64_t usage, in_use());
  if (reclaim) {
    PINION_ASSIGN_OR_RETURN(usage, TakeBack(usage, limit, [&](uint64_t bytes) {
                              // Best effort (EAGAIN: not all of it; ENOENT:
                              // before Linux 5.19).
                              (void)os::WriteKernelFile(dir, "memory.reclaim",
                                                        absl::StrCat(bytes));
                              return in_use();
                            }));
  }
  if (usage <= limit) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "memory.max ", limit, " is below the ", usage, " bytes in use"));
}

absl::Status ApplySettings(int dir, const std::string& name,
                           const std::vector<Setting>& settings,
                           const WriteOptions& options) {
  PINION_ASSIGN_OR_RETURN_AS(std::vector<OpenSetting> changes,
                             FindDifferences(dir, settings, options),
                             absl::StrCat("cgroup ", name));
  OrderMemory(changes);
  for (size_t i = 0; i < changes.size(); ++i) {
    const absl::Status status = ApplyOne(dir, changes[i], options);
    if (status.ok()) continue;
    for (size_t done = i + 1; done-- > 0;)
      Undo(dir, name, changes[done], options);
    return Annotate(status, absl::StrCat("cgroup ", name));
  }
  if (!options.commit) return absl::OkStatus();
  const absl::Status committed = options.commit();
  if (!committed.ok()) {
    for (size_t done = changes.size(); done-- > 0;)
      Undo(dir, name, changes[done], options);
  }
  return committed;
}

absl::StatusOr<std::string> RestoreLimit(int dir, const std::string& file,
                                         const std::string& before,
                                         const std::string& actual) {
  absl::Status status;
  for (const std::string& line : RepairWrites(file, before, actual)) {
    status = os::WriteKernelFile(dir, file, line);
    if (!status.ok()) break;
  }
  std::string wanted = before;
  if (!status.ok() && IsCpuset(file) &&
      absl::StripAsciiWhitespace(before).empty()) {
    PINION_ASSIGN_OR_RETURN(const CpuSet all, InForceAbove(dir, file));
    wanted = all.ToString() + "\n";
    status = os::WriteKernelFile(dir, file, all.ToString());
  }
  PINION_RETURN_IF_ERROR(status);
  PINION_ASSIGN_OR_RETURN(std::string now, os::ReadFileAt(dir, file));
  if (SameLimit(wanted, now)) return now;
  return absl::FailedPreconditionError(
      absl::StrCat(file, " reads \"", absl::StripAsciiWhitespace(now),
                   "\" after it was set back"));
}

}  // namespace pinion::cgroup
