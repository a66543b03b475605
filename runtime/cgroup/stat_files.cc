#include "runtime/cgroup/stat_files.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace pinion::cgroup {
namespace {

constexpr std::string_view kBlank = " \t\n";

// Cuts the next word (or line) off the front of `text`; empty at the end.
std::string_view NextOf(std::string_view& text, std::string_view separators) {
  const size_t start = text.find_first_not_of(separators);
  if (start == std::string_view::npos) {
    text = {};
    return {};
  }
  const size_t end = text.find_first_of(separators, start);
  const std::string_view word = text.substr(start, end - start);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end);
  return word;
}

template <typename Number>
std::optional<Number> ToNumber(std::string_view word) {
  Number number = 0;
  const char* const end = word.data() + word.size();
  const auto [last, error] = std::from_chars(word.data(), end, number);
  if (error != std::errc() || last != end || word.empty()) return std::nullopt;
  return number;
}

OptionalCount ToCount(std::string_view word) {
  if (word == "max") return kNoLimit;
  return ToNumber<uint64_t>(word);
}

// "12.34"; the kernel prints shares with two digits behind the point.
std::optional<double> ToShare(std::string_view word) {
  const auto share = ToNumber<double>(word);
  if (!share || !std::isfinite(*share) || *share < 0) return std::nullopt;
  return share;
}

struct Key {
  std::string_view name;
  OptionalCount* value;
};

// Lines of "key number".
void ParseKeyed(std::string_view text, std::initializer_list<Key> keys) {
  for (std::string_view line = NextOf(text, "\n"); !line.empty();
       line = NextOf(text, "\n")) {
    const std::string_view name = NextOf(line, kBlank);
    const auto* const key =
        std::find_if(keys.begin(), keys.end(),
                     [name](const Key& k) { return k.name == name; });
    if (key == keys.end()) continue;
    *key->value = ToNumber<uint64_t>(NextOf(line, kBlank));
  }
}

// "rbytes=4096" into the counter of that name.
void SetCounter(std::string_view word, std::initializer_list<Key> keys) {
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos) return;
  const std::string_view name = word.substr(0, equals);
  const auto* const key =
      std::find_if(keys.begin(), keys.end(),
                   [name](const Key& k) { return k.name == name; });
  if (key == keys.end()) return;
  *key->value = ToNumber<uint64_t>(word.substr(equals + 1));
}

bool ParseDevice(std::string_view word, IoDevice& device) {
  const size_t colon = word.find(':');
  if (colon == std::string_view::npos) return false;
  const auto major = ToNumber<uint32_t>(word.substr(0, colon));
  const auto minor = ToNumber<uint32_t>(word.substr(colon + 1));
  if (!major || !minor) return false;
  device.major = *major;
  device.minor = *minor;
  return true;
}

std::optional<Stall> ParseStall(std::string_view words) {
  Stall stall;
  bool total = false;
  for (std::string_view word = NextOf(words, kBlank); !word.empty();
       word = NextOf(words, kBlank)) {
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = word.substr(equals + 1);
    if (name == "total") {
      const auto time = ToNumber<uint64_t>(value);
      if (!time) return std::nullopt;
      stall.total_us = *time;
      total = true;
      continue;
    }
    double* const share = name == "avg10"    ? &stall.avg10
                          : name == "avg60"  ? &stall.avg60
                          : name == "avg300" ? &stall.avg300
                                             : nullptr;
    if (share == nullptr) continue;
    const auto parsed = ToShare(value);
    if (!parsed) return std::nullopt;
    *share = *parsed;
  }
  if (!total) return std::nullopt;
  return stall;
}

}  // namespace

OptionalCount ParseCount(std::string_view text) {
  const OptionalCount count = ToCount(NextOf(text, kBlank));
  return NextOf(text, kBlank).empty() ? count : std::nullopt;
}

CpuStat ParseCpuStat(std::string_view text) {
  CpuStat stat;
  ParseKeyed(text, {{"usage_usec", &stat.usage_us},
                    {"user_usec", &stat.user_us},
                    {"system_usec", &stat.system_us},
                    {"nr_periods", &stat.periods},
                    {"nr_throttled", &stat.throttled_periods},
                    {"throttled_usec", &stat.throttled_us}});
  return stat;
}

CpuMax ParseCpuMax(std::string_view text) {
  CpuMax max;
  max.quota_us = ToCount(NextOf(text, kBlank));
  max.period_us = ToNumber<uint64_t>(NextOf(text, kBlank));
  return max;
}

MemoryStat ParseMemoryStat(std::string_view text) {
  MemoryStat stat;
  ParseKeyed(text, {{"anon", &stat.anon},
                    {"file", &stat.file},
                    {"kernel", &stat.kernel},
                    {"file_mapped", &stat.file_mapped},
                    {"inactive_file", &stat.inactive_file},
                    {"pgfault", &stat.page_faults},
                    {"pgmajfault", &stat.major_page_faults}});
  return stat;
}

MemoryEvents ParseMemoryEvents(std::string_view text) {
  MemoryEvents events;
  ParseKeyed(text, {{"high", &events.high},
                    {"max", &events.max},
                    {"oom_kill", &events.oom_kills}});
  return events;
}

std::vector<IoDevice> ParseIoStat(std::string_view text) {
  std::vector<IoDevice> devices;
  for (std::string_view line = NextOf(text, "\n"); !line.empty();
       line = NextOf(text, "\n")) {
    IoDevice device;
    if (!ParseDevice(NextOf(line, kBlank), device)) continue;
    for (std::string_view word = NextOf(line, kBlank); !word.empty();
         word = NextOf(line, kBlank)) {
      SetCounter(word, {{"rbytes", &device.read_bytes},
                        {"wbytes", &device.written_bytes},
                        {"dbytes", &device.discarded_bytes},
                        {"rios", &device.reads},
                        {"wios", &device.writes}});
    }
    if (device.read_bytes || device.written_bytes || device.discarded_bytes ||
        device.reads || device.writes) {
      devices.push_back(device);
    }
  }
  return devices;
}

Pressure ParsePressure(std::string_view text) {
  Pressure pressure;
  for (std::string_view line = NextOf(text, "\n"); !line.empty();
       line = NextOf(text, "\n")) {
    const std::string_view kind = NextOf(line, kBlank);
    if (kind == "some") pressure.some = ParseStall(line);
    if (kind == "full") pressure.full = ParseStall(line);
  }
  return pressure;
}

std::vector<pid_t> ParsePids(std::string_view text) {
  std::vector<pid_t> pids;
  for (std::string_view line = NextOf(text, "\n"); !line.empty();
       line = NextOf(text, "\n")) {
    const auto pid = ToNumber<pid_t>(line);
    if (pid && *pid > 0) pids.push_back(*pid);
  }
  return pids;
}

std::string HugePageSizeOf(std::string_view file) {
  constexpr std::string_view kPrefix = "hugetlb.";
  constexpr std::string_view kSuffix = ".current";
  if (file.size() <= kPrefix.size() + kSuffix.size() ||
      file.substr(0, kPrefix.size()) != kPrefix ||
      file.substr(file.size() - kSuffix.size()) != kSuffix) {
    return "";
  }
  file.remove_prefix(kPrefix.size());
  file.remove_suffix(kSuffix.size());
  // "2MB.rsvd" counts reservations.
  if (file.find('.') != std::string_view::npos) return "";
  return std::string(file);
}

}  // namespace pinion::cgroup
