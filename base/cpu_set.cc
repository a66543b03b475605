#include "base/cpu_set.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <charconv>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace pinion {
namespace {

constexpr int kBits = 64;

size_t WordOf(int cpu) { return static_cast<size_t>(cpu) / kBits; }
uint64_t BitOf(int cpu) { return uint64_t{1} << (cpu % kBits); }

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

void CpuSet::Add(int cpu) {
  assert(cpu >= 0 && cpu < kMax);
  if (words_.size() <= WordOf(cpu)) words_.resize(WordOf(cpu) + 1);
  words_[WordOf(cpu)] |= BitOf(cpu);
}

void CpuSet::Remove(int cpu) {
  if (!Contains(cpu)) return;
  words_[WordOf(cpu)] &= ~BitOf(cpu);
  Trim();
}

bool CpuSet::Contains(int cpu) const {
  return cpu >= 0 && WordOf(cpu) < words_.size() &&
         (words_[WordOf(cpu)] & BitOf(cpu)) != 0;
}

bool CpuSet::ContainsAll(const CpuSet& other) const {
  return SizeOfBoth(other) == other.size();
}

size_t CpuSet::size() const { return SizeOfBoth(*this); }

size_t CpuSet::SizeOfBoth(const CpuSet& other) const {
  size_t size = 0;
  for (size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) {
    size += static_cast<size_t>(std::popcount(words_[i] & other.words_[i]));
  }
  return size;
}

CpuSet& CpuSet::operator|=(const CpuSet& other) {
  if (words_.size() < other.words_.size()) words_.resize(other.words_.size());
  for (size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
  return *this;
}

CpuSet& CpuSet::operator&=(const CpuSet& other) {
  if (words_.size() > other.words_.size()) words_.resize(other.words_.size());
  for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
  Trim();
  return *this;
}

CpuSet& CpuSet::operator-=(const CpuSet& other) {
  for (size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) {
    words_[i] &= ~other.words_[i];
  }
  Trim();
  return *this;
}

void CpuSet::Trim() {
  while (!words_.empty() && words_.back() == 0) words_.pop_back();
}

int CpuSet::NextFrom(int cpu) const {
  for (size_t i = WordOf(cpu); i < words_.size(); ++i) {
    const int first = i == WordOf(cpu) ? cpu % kBits : 0;
    const uint64_t left = words_[i] >> first << first;
    if (left != 0) return static_cast<int>(i) * kBits + std::countr_zero(left);
  }
  return kMax;
}

std::string CpuSet::ToString() const {
  std::string text;
  for (auto it = begin(); it != end();) {
    const int first = *it;
    int last = first;
    while (++it != end() && *it == last + 1) last = *it;
    absl::StrAppend(&text, text.empty() ? "" : ",", first);
    if (last > first) absl::StrAppend(&text, "-", last);
  }
  return text;
}

}  // namespace pinion
