#include "runtime/cgroup/limit_table.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/cpu_set.h"

namespace pinion::cgroup {
namespace {

constexpr size_t kLongestValue = 4096;

using Words = std::vector<std::string>;

bool IsInteger(const std::string& text, int64_t least, int64_t most) {
  int64_t value = 0;
  const size_t sign = absl::StartsWith(text, "-") ? 1 : 0;
  return text.find_first_not_of("0123456789", sign) == std::string::npos &&
         absl::SimpleAtoi(text, &value) && value >= least && value <= most;
}

bool IsCountOrMax(const std::string& text) {
  return text == "max" || IsInteger(text, 0, INT64_MAX);
}

bool IsBytes(const std::string& text) { return ParseBytes(text).has_value(); }
bool IsSwitch(const std::string& text) { return text == "0" || text == "1"; }
bool IsWeight(const std::string& text) { return IsInteger(text, 1, 10'000); }
bool IsBfqWeight(const std::string& text) { return IsInteger(text, 1, 1'000); }
bool IsNice(const std::string& text) { return IsInteger(text, -20, 19); }
bool IsBurst(const std::string& text) { return IsInteger(text, 0, INT64_MAX); }

bool IsCpuMax(const std::string& text) {
  const Words words = absl::StrSplit(text, ' ');
  if (words.size() > 2) return false;
  return (words[0] == "max" || IsInteger(words[0], 1'000, INT64_MAX)) &&
         (words.size() == 1 || IsInteger(words[1], 1'000, 1'000'000));
}

bool IsPercentage(const std::string& text) {
  if (text == "max") return true;
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('.', 1));
  if (!IsInteger(parts.first, 0, 100) || absl::EndsWith(text, ".")) {
    return false;
  }
  if (parts.second.empty()) return true;
  return parts.second.size() <= 2 && IsInteger(parts.second, 0, 99) &&
         (parts.first != "100" || IsInteger(parts.second, 0, 0));
}

bool IsList(const std::string& text) {
  // As files end, but nothing that a caller means.
  if (absl::StrContains(text, '\n')) return false;
  return CpuSet::Parse(std::string_view(text)).ok();
}

bool IsPartition(const std::string& text) {
  return text == "member" || text == "root" || text == "isolated";
}

bool IsPrioClass(const std::string& text) {
  return text == "no-change" || text == "promote-to-rt" ||
         text == "restrict-to-be" || text == "idle" || text == "none-to-rt";
}

bool IsDevice(const std::string& text) {
  const Words numbers = absl::StrSplit(text, ':');
  return numbers.size() == 2 && IsInteger(numbers[0], 0, 4095) &&
         IsInteger(numbers[1], 0, 1'048'575);
}

// Every line satisfies `check`, and there is one.
bool EachLine(const std::string& text, bool (*check)(const Words&)) {
  const Words lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  return !lines.empty() &&
         std::all_of(lines.begin(), lines.end(), [check](const auto& line) {
           return check(absl::StrSplit(line, ' ', absl::SkipEmpty()));
         });
}

// "NAME=VALUE" with one of `names`; after the first word, at least one.
bool AreAssignments(const Words& words,
                    std::initializer_list<std::string_view> names,
                    bool (*check)(const std::string&)) {
  return words.size() > 1 &&
         std::all_of(words.begin() + 1, words.end(), [&](const auto& word) {
           const size_t equals = word.find('=');
           return equals != std::string::npos &&
                  check(word.substr(equals + 1)) &&
                  std::find(names.begin(), names.end(),
                            word.substr(0, equals)) != names.end();
         });
}

bool IsIoMax(const std::string& text) {
  return EachLine(text, [](const Words& words) {
    return AreAssignments(words, {"rbps", "wbps", "riops", "wiops"},
                          IsCountOrMax) &&
           IsDevice(words[0]);
  });
}

bool IsIoLatency(const std::string& text) {
  return EachLine(text, [](const Words& words) {
    return AreAssignments(words, {"target"}, IsBurst) && IsDevice(words[0]);
  });
}

bool IsWeightLine(const Words& words, bool (*is_weight)(const std::string&)) {
  if (words.size() == 1) return is_weight(words[0]);
  if (words.size() != 2) return false;
  if (words[0] == "default") return is_weight(words[1]);
  return IsDevice(words[0]) && (words[1] == "default" || is_weight(words[1]));
}

bool IsIoWeight(const std::string& text) {
  return EachLine(
      text, [](const Words& words) { return IsWeightLine(words, IsWeight); });
}

bool IsIoBfqWeight(const std::string& text) {
  return EachLine(text, [](const Words& words) {
    return IsWeightLine(words, IsBfqWeight);
  });
}

bool IsRdmaMax(const std::string& text) {
  return EachLine(text, [](const Words& words) {
    return AreAssignments(words, {"hca_handle", "hca_object"}, IsCountOrMax);
  });
}

bool IsNamedCount(const std::string& text) {
  return EachLine(text, [](const Words& words) {
    return words.size() == 2 && IsCountOrMax(words[1]);
  });
}

bool IsNamedBytes(const std::string& text) {
  return EachLine(text, [](const Words& words) {
    return words.size() == 2 && IsBytes(words[1]);
  });
}

struct LimitFile {
  std::string_view name;
  bool (*takes)(const std::string&);
  std::string_view right;  // what it takes, in words
};

constexpr std::string_view kBytesText =
    "a number of bytes (K, M, G, T, P or E may follow) or max";
constexpr std::string_view kDeviceWeights =
    "lines of WEIGHT, default WEIGHT or MAJOR:MINOR WEIGHT";
constexpr std::string_view kListText = "a list like 0-3,8";

constexpr std::array<LimitFile, 33> kFiles = {{
    {"cpu.idle", IsSwitch, "0 or 1"},
    {"cpu.max", IsCpuMax,
     "QUOTA or max, and a period of 1000 to 1000000 (microseconds; a quota of "
     "at least 1000)"},
    {"cpu.max.burst", IsBurst, "a number of microseconds"},
    {"cpu.uclamp.max", IsPercentage, "a percentage like 12.34, or max"},
    {"cpu.uclamp.min", IsPercentage, "a percentage like 12.34, or max"},
    {"cpu.weight", IsWeight, "1 to 10000"},
    {"cpu.weight.nice", IsNice, "-20 to 19"},
    {"cpuset.cpus", IsList, kListText},
    {"cpuset.cpus.exclusive", IsList, kListText},
    {"cpuset.cpus.partition", IsPartition, "member, root or isolated"},
    {"cpuset.mems", IsList, kListText},
    {"dmem.low", IsNamedBytes, "lines of REGION BYTES"},
    {"dmem.max", IsNamedBytes, "lines of REGION BYTES"},
    {"dmem.min", IsNamedBytes, "lines of REGION BYTES"},
    {"io.bfq.weight", IsIoBfqWeight, kDeviceWeights},
    {"io.latency", IsIoLatency, "lines of MAJOR:MINOR target=MICROSECONDS"},
    {"io.max", IsIoMax,
     "lines of MAJOR:MINOR and rbps=, wbps=, riops= or wiops= with a number or "
     "max"},
    {"io.prio.class", IsPrioClass,
     "no-change, promote-to-rt, restrict-to-be, idle or none-to-rt"},
    {"io.weight", IsIoWeight, kDeviceWeights},
    {"memory.high", IsBytes, kBytesText},
    {"memory.low", IsBytes, kBytesText},
    {"memory.max", IsBytes, kBytesText},
    {"memory.min", IsBytes, kBytesText},
    {"memory.oom.group", IsSwitch, "0 or 1"},
    {"memory.swap.high", IsBytes, kBytesText},
    {"memory.swap.max", IsBytes, kBytesText},
    {"memory.zswap.max", IsBytes, kBytesText},
    {"memory.zswap.writeback", IsSwitch, "0 or 1"},
    {"misc.max", IsNamedCount, "lines of RESOURCE NUMBER, or max for a number"},
    {"pids.max", IsCountOrMax, "a number or max"},
    {"rdma.max", IsRdmaMax,
     "lines of DEVICE and hca_handle= or hca_object= with a number or max"},
    {"hugetlb.*.max", IsBytes, kBytesText},
    {"hugetlb.*.rsvd.max", IsBytes, kBytesText},
}};

// The size of a huge page limit's name is left out: "hugetlb.*.max".
std::string Pattern(const std::string& file) {
  if (!absl::StartsWith(file, "hugetlb.")) return file;
  const size_t begin = sizeof("hugetlb.") - 1;
  const size_t end = file.find('.', begin);
  if (end == std::string::npos ||
      !IsPageSize(file.substr(begin, end - begin))) {
    return "";
  }
  return absl::StrCat("hugetlb.*", file.substr(end));
}

const LimitFile* Find(const std::string& file) {
  const std::string pattern = Pattern(file);
  if (pattern.empty()) return nullptr;
  const auto found = std::find_if(
      kFiles.begin(), kFiles.end(),
      [&pattern](const auto& known) { return known.name == pattern; });
  return found == kFiles.end() ? nullptr : &*found;
}

// The limits of the same controller, or the controllers.
std::string Known(const std::string& file) {
  const std::string controller = file.substr(0, file.find('.') + 1);
  std::string names;
  for (const LimitFile& known : kFiles) {
    if (controller.size() < 2 ||
        known.name.substr(0, controller.size()) != controller) {
      continue;
    }
    absl::StrAppend(&names, names.empty() ? "" : ", ", std::string(known.name));
  }
  if (!names.empty()) return names;
  return "those of cpu, cpuset, dmem, hugetlb, io, memory, misc, pids, rdma";
}

}  // namespace

bool IsLimitFile(const std::string& file) { return Find(file) != nullptr; }

std::vector<std::string> LimitFilesByName() {
  std::vector<std::string> names;
  for (const LimitFile& file : kFiles) {
    if (file.name.find('*') == file.name.npos) names.emplace_back(file.name);
  }
  return names;
}

absl::Status CheckLimit(const std::string& file, const std::string& value) {
  const LimitFile* const known = Find(file);
  if (known == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", file.substr(0, 64),
                     "\" is no limit of a cgroup; there are ", Known(file)));
  }
  if (value.size() <= kLongestValue && value.find('\0') == std::string::npos &&
      known->takes(value)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(file, " \"", value.substr(0, 64), "\" must be ",
                   std::string(known->right)));
}

bool IsByteCount(const std::string& file) {
  if (absl::StartsWith(file, "hugetlb.")) return true;
  if (!absl::StartsWith(file, "memory.")) return false;
  for (const char* end : {".min", ".low", ".high", ".max"}) {
    if (absl::EndsWith(file, end)) return true;
  }
  return false;
}

bool IsKeyedFile(const std::string& file) {
  return file == "io.max" || file == "io.weight" || file == "io.bfq.weight" ||
         file == "io.latency" || file == "rdma.max" || file == "misc.max" ||
         absl::StartsWith(file, "dmem.");
}

std::vector<std::string> ChangesWith(const std::string& file) {
  static const std::vector<std::vector<std::string>> kGroups = {
      {"cpu.idle", "cpu.weight", "cpu.weight.nice"},
      {"cpuset.cpus.exclusive", "cpuset.cpus.partition"}};
  for (const std::vector<std::string>& group : kGroups) {
    if (std::find(group.begin(), group.end(), file) == group.end()) continue;
    std::vector<std::string> others;
    std::copy_if(group.begin(), group.end(), std::back_inserter(others),
                 [&file](const std::string& other) { return other != file; });
    return others;
  }
  return {};
}

std::optional<uint64_t> ParseBytes(const std::string& text) {
  if (text == "max") return UINT64_MAX;
  const size_t digits = text.find_first_not_of("0123456789");
  uint64_t value = 0;
  if (digits == 0 || !absl::SimpleAtoi(text.substr(0, digits), &value)) {
    return std::nullopt;
  }
  if (digits == std::string::npos) return value;
  if (text.size() != digits + 1) return std::nullopt;
  static constexpr std::string_view kUnits = "KMGTPE";
  const size_t unit = kUnits.find(
      absl::ascii_toupper(static_cast<unsigned char>(text[digits])));
  if (unit == std::string_view::npos) return std::nullopt;
  const size_t shift = 10 * (unit + 1);
  if (value > (UINT64_MAX >> shift)) return std::nullopt;
  return value << shift;
}

bool IsPageSize(const std::string& size) {
  const size_t digits = size.find_first_not_of("0123456789");
  if (digits == 0 || digits > 6 || digits == std::string::npos) return false;
  const std::string unit = size.substr(digits);
  return size[0] != '0' && (unit == "KB" || unit == "MB" || unit == "GB");
}

}  // namespace pinion::cgroup
