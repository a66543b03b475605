#include "base/cpu_set.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace pinion {
namespace {

std::optional<int> ParseNumber(std::string_view text) {
  int value = -1;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 ||
      value >= CpuSet::kMax) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

absl::StatusOr<CpuSet> CpuSet::Parse(std::string_view text) {
  if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  CpuSet result;
  if (text.empty()) return result;
  const std::string whole(text);
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    const size_t dash = item.find('-');
    const auto first = ParseNumber(item.substr(0, dash));
    const auto last = dash == std::string_view::npos
                          ? first
                          : ParseNumber(item.substr(dash + 1));
    if (!first || !last || *last < *first) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", whole, "\" is no list of CPUs like 0-3,8"));
    }
    for (int cpu = *first; cpu <= *last; ++cpu) result.Add(cpu);
    if (comma == std::string_view::npos) return result;
    text.remove_prefix(comma + 1);
  }
}

bool CpuSet::ContainsAll(const CpuSet& other) const {
  return std::includes(cpus_.begin(), cpus_.end(), other.cpus_.begin(),
                       other.cpus_.end());
}

std::string CpuSet::ToString() const {
  std::string text;
  for (auto it = cpus_.begin(); it != cpus_.end();) {
    const int first = *it;
    int last = first;
    while (++it != cpus_.end() && *it == last + 1) last = *it;
    absl::StrAppend(&text, text.empty() ? "" : ",", first);
    if (last > first) absl::StrAppend(&text, "-", last);
  }
  return text;
}

}  // namespace pinion
