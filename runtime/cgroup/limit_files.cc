#include "runtime/cgroup/limit_files.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/cpu_set.h"
#include "base/status_macros.h"
#include "runtime/cgroup/limit_table.h"

namespace pinion::cgroup {
namespace {

// sched(7), CFS bandwidth: the kernel takes periods of 1 ms to 1 s and
// quotas of at least 1 ms.
constexpr int64_t kMinCpuPeriodUs = 1'000;
constexpr int64_t kMaxCpuPeriodUs = 1'000'000;
constexpr int64_t kMinCpuQuotaUs = 1'000;

absl::Status CheckList(const std::string& file, const std::string& list) {
  PINION_RETURN_IF_ERROR_AS(CpuSet::Parse(list).status(), file);
  return absl::OkStatus();
}

absl::Status AddCpu(const state::Resources& r, std::vector<Setting>& out) {
  if (r.cpu_shares() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cpu_shares ", r.cpu_shares(), " is negative"));
  }
  if (r.cpu_shares() > 0) {
    out.push_back(
        {"cpu.weight", absl::StrCat(CpuWeightFromShares(r.cpu_shares()))});
  }
  const int64_t period = r.cpu_period_us();
  const int64_t quota = r.cpu_quota_us();
  if (period != 0 && (period < kMinCpuPeriodUs || period > kMaxCpuPeriodUs)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cpu_period ", period, " is not in 1000 … 1000000 microseconds"));
  }
  if (quota > 0 && quota < kMinCpuQuotaUs) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cpu_quota ", quota, " is below the kernel's 1000 microseconds"));
  }
  if (period == 0 && quota == 0) return absl::OkStatus();
  std::string value = quota > 0 ? absl::StrCat(quota) : quota < 0 ? "max" : "-";
  // A quota alone leaves the period that is in force.
  if (period != 0) absl::StrAppend(&value, " ", period);
  out.push_back({"cpu.max", std::move(value)});
  return absl::OkStatus();
}

absl::Status AddMemory(const state::Resources& r, std::vector<Setting>& out) {
  const int64_t memory = r.memory_limit_bytes();
  const int64_t both = r.memory_swap_limit_bytes();
  const auto check = [](const char* name, int64_t value) {
    if (value >= -1) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(name, " ", value, " is negative"));
  };
  PINION_RETURN_IF_ERROR(check("memory_limit_in_bytes", memory));
  PINION_RETURN_IF_ERROR(check("memory_swap_limit_in_bytes", both));
  if (memory != 0) {
    out.push_back({"memory.max", memory < 0 ? "max" : absl::StrCat(memory)});
  }
  if (both == 0) return absl::OkStatus();
  if (both < 0) {
    out.push_back({"memory.swap.max", "max"});
    return absl::OkStatus();
  }
  if (memory <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("memory_swap_limit_in_bytes ", both,
                     " needs memory_limit_in_bytes: it counts memory and swap "
                     "together"));
  }
  if (both < memory) {
    return absl::InvalidArgumentError(
        absl::StrCat("memory_swap_limit_in_bytes ", both,
                     " is below memory_limit_in_bytes ", memory));
  }
  out.push_back({"memory.swap.max", absl::StrCat(both - memory)});
  return absl::OkStatus();
}

// cpu.weight.nice is another face of cpu.weight, and the more special one; a
// cgroup that is idle has no weight, and takes none (EINVAL, sched/core.c).
void SettleWeight(std::vector<Setting>& settings) {
  const auto find = [&settings](const char* file) {
    return std::find_if(settings.begin(), settings.end(),
                        [file](const auto& s) { return s.file == file; });
  };
  const auto drop = [&settings](const char* file) {
    std::erase_if(settings, [file](const auto& s) { return s.file == file; });
  };
  if (find("cpu.weight.nice") != settings.end()) drop("cpu.weight");
  const auto idle = find("cpu.idle");
  if (idle == settings.end()) return;
  // Before the weight, which counts once it is idle no longer.
  std::rotate(settings.begin(), idle, idle + 1);
  if (settings.front().value != "1") return;
  drop("cpu.weight");
  drop("cpu.weight.nice");
}

uint64_t BytesUnit(const std::string& file) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  if (!absl::StartsWith(file, "hugetlb.")) return page;
  const std::vector<std::string> parts = absl::StrSplit(file, '.');
  const std::string& size = parts[1];
  if (size.size() < 2) return page;
  return ParseBytes(size.substr(0, size.size() - 1)).value_or(page);
}

// The line of a keyed file that starts with `key`; nullopt if there is none.
std::optional<std::vector<std::string>> KeyedLine(const std::string& text,
                                                  const std::string& key) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    std::vector<std::string> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (!words.empty() && words[0] == key) return words;
  }
  return std::nullopt;
}

// What a word of a keyed file is when nothing limits it: its line vanishes.
std::string Unlimited(const std::string& file, const std::string& word) {
  const size_t equals = word.find('=');
  if (file == "io.weight" || file == "io.bfq.weight") return "default";
  if (equals == std::string::npos) return "max";
  const std::string name = word.substr(0, equals + 1);
  return file == "io.latency" ? name + "0" : name + "max";
}

bool KeyedHolds(const std::string& file, const std::string& wanted,
                const std::string& actual) {
  for (const absl::string_view line :
       absl::StrSplit(wanted, '\n', absl::SkipEmpty())) {
    std::vector<std::string> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.empty()) continue;
    // io.weight: "200" means "default 200".
    if (words.size() == 1) words.insert(words.begin(), "default");
    const auto held = KeyedLine(actual, words[0]);
    for (size_t i = 1; i < words.size(); ++i) {
      const bool there = held && std::find(held->begin() + 1, held->end(),
                                           words[i]) != held->end();
      if (!there && (held || words[i] != Unlimited(file, words[i]))) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

int64_t CpuWeightFromShares(int64_t shares) {
  const int64_t clamped = std::clamp<int64_t>(shares, 2, 262'144);
  return 1 + ((clamped - 2) * 9'999) / 262'142;
}

std::string ControllerOf(const std::string& file) {
  return file.substr(0, file.find('.'));
}

absl::StatusOr<std::vector<Setting>> ToSettings(
    const state::Resources& resources) {
  std::vector<Setting> settings;
  if (!resources.cpuset_cpus().empty()) {
    PINION_RETURN_IF_ERROR(CheckList("cpuset_cpus", resources.cpuset_cpus()));
    settings.push_back({"cpuset.cpus", resources.cpuset_cpus()});
  }
  if (!resources.cpuset_mems().empty()) {
    PINION_RETURN_IF_ERROR(CheckList("cpuset_mems", resources.cpuset_mems()));
    settings.push_back({"cpuset.mems", resources.cpuset_mems()});
  }
  PINION_RETURN_IF_ERROR(AddCpu(resources, settings));
  PINION_RETURN_IF_ERROR(AddMemory(resources, settings));
  for (const auto& limit : resources.hugepage_limits()) {
    if (!IsPageSize(limit.page_size())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "hugepage size \"", limit.page_size(), "\" is not like 2MB"));
    }
    const std::string prefix = absl::StrCat("hugetlb.", limit.page_size());
    // The reservation limit too: without it mmap succeeds and the first
    // touch gets SIGBUS (hugetlb_cgroup, since Linux 5.7).
    const std::string bytes = absl::StrCat(limit.limit_bytes());
    settings.push_back({prefix + ".max", bytes});
    settings.push_back({prefix + ".rsvd.max", bytes});
  }
  const std::map<std::string, std::string> unified(resources.unified().begin(),
                                                   resources.unified().end());
  for (const auto& [file, value] : unified) {
    PINION_RETURN_IF_ERROR_AS(CheckLimit(file, value), "unified");
    std::erase_if(settings, [&file = file](const Setting& setting) {
      return setting.file == file;
    });
    settings.push_back({file, value});
  }
  SettleWeight(settings);
  return settings;
}

std::set<std::string> TouchedFiles(const state::Resources& before,
                                   const state::Resources& changes,
                                   const state::Resources& after) {
  const auto was = ToSettings(before).value_or(std::vector<Setting>());
  std::set<std::string> files;
  const auto touch = [&files](const std::string& file) {
    files.insert(file);
    for (std::string& other : ChangesWith(file)) files.insert(std::move(other));
  };
  for (const Setting& s : ToSettings(after).value_or(std::vector<Setting>())) {
    if (std::find(was.begin(), was.end(), s) == was.end()) touch(s.file);
  }
  state::Resources named = changes;
  named.clear_memory_limit_bytes();
  // Alone it means nothing.
  named.clear_memory_swap_limit_bytes();
  for (const Setting& s : ToSettings(named).value_or(std::vector<Setting>())) {
    touch(s.file);
  }
  return files;
}

bool Holds(const std::string& file, const std::string& wanted,
           const std::string& actual) {
  const std::string want(absl::StripAsciiWhitespace(wanted));
  const std::string have(absl::StripAsciiWhitespace(actual));
  if (want == have) return true;
  if (IsKeyedFile(file)) return KeyedHolds(file, want, have);
  if (file == "cpu.max") {
    const std::vector<std::string> w = absl::StrSplit(want, ' ');
    const std::vector<std::string> h = absl::StrSplit(have, ' ');
    if (h.size() != 2 || w.size() > 2) return false;
    return (w[0] == "-" || w[0] == h[0]) && (w.size() == 1 || w[1] == h[1]);
  }
  if (file == "cpuset.cpus" || file == "cpuset.mems" ||
      file == "cpuset.cpus.exclusive") {
    const auto w = CpuSet::Parse(want);
    const auto h = CpuSet::Parse(have);
    return w.ok() && h.ok() && *w == *h;
  }
  if (IsByteCount(file)) {
    const auto w = ParseBytes(want);
    const auto h = ParseBytes(have);
    if (!w || !h) return false;
    // A count beyond what the kernel can count is its "max".
    if (*h == UINT64_MAX) return *w >= (uint64_t{1} << 62);
    return *h <= *w && *w - *h < BytesUnit(file);
  }
  return false;
}

std::vector<std::string> UndoWrites(const std::string& file,
                                    const std::string& old,
                                    const std::string& wanted) {
  const std::string before(absl::StripAsciiWhitespace(old));
  // An empty write is none: an empty list is set by a newline.
  if (!IsKeyedFile(file)) return {before.empty() ? "\n" : before};
  std::vector<std::string> writes;
  for (const absl::string_view line :
       absl::StrSplit(wanted, '\n', absl::SkipEmpty())) {
    std::vector<std::string> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.empty()) continue;
    if (words.size() == 1) words.insert(words.begin(), "default");
    std::string write = words[0];
    const auto held = KeyedLine(before, words[0]);
    const std::vector<std::string>& from = held ? *held : words;
    for (size_t i = 1; i < from.size(); ++i) {
      absl::StrAppend(&write, " ", held ? from[i] : Unlimited(file, from[i]));
    }
    writes.push_back(std::move(write));
  }
  return writes;
}

}  // namespace pinion::cgroup
