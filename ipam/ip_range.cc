#include "ipam/ip_range.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::ipam {
namespace {

uint64_t Window(const IpAddress& first, const IpAddress& last) {
  const std::optional<uint64_t> distance = last.OffsetFrom(first);
  // nullopt here means 2^64 or more.
  if (!distance || *distance >= IpRange::kMaxWindow) return IpRange::kMaxWindow;
  return *distance + 1;
}

}  // namespace

IpRange::IpRange(const IpAddress& first, const IpAddress& last,
                 std::string name)
    : first_(first),
      last_(last),
      size_(Window(first, last)),
      name_(std::move(name)) {}

IpRange::IpRange(const IpPrefix& prefix)
    : IpRange(prefix.network(), prefix.Last(), prefix.ToString()) {}

absl::StatusOr<IpRange> IpRange::Parse(std::string_view text) {
  if (text.find('/') != std::string_view::npos) {
    PINION_ASSIGN_OR_RETURN(IpPrefix prefix, IpPrefix::Parse(text));
    return IpRange(prefix);
  }
  const size_t dash = text.find('-');
  PINION_ASSIGN_OR_RETURN(IpAddress first,
                          IpAddress::Parse(text.substr(0, dash)));
  if (dash == std::string_view::npos) {
    return IpRange(IpPrefix::Around(first, first.bits()));
  }
  PINION_ASSIGN_OR_RETURN(IpAddress last,
                          IpAddress::Parse(text.substr(dash + 1)));
  if (first.family() != last.family() || last < first) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", std::string(text),
                     "\" is no range: its end is before its start"));
  }
  return IpRange(first, last,
                 absl::StrCat(first.ToString(), "-", last.ToString()));
}

std::optional<uint64_t> IpRange::IndexOf(const IpAddress& address) const {
  const std::optional<uint64_t> offset = address.OffsetFrom(first_);
  if (!offset || *offset >= size_) return std::nullopt;
  return offset;
}

void IpRange::Exclude(const IpAddress& address) {
  Exclude(IpRange(IpPrefix::Around(address, address.bits())));
}

void IpRange::Exclude(const IpRange& other) {
  if (other.family() != family() || other.last_ < first_) return;
  // Where an offset does not fit in 64 bits it is beyond the window.
  uint64_t begin = 0;
  if (first_ < other.first_) {
    begin = std::min(size_, other.first_.OffsetFrom(first_).value_or(size_));
  }
  uint64_t end = size_;
  if (const auto last = other.last_.OffsetFrom(first_); last && *last < size_) {
    end = *last + 1;
  }
  if (begin >= end) return;
  // Merges with every stretch that overlaps or touches.
  auto it = excluded_.upper_bound(begin);
  if (it != excluded_.begin() && std::prev(it)->second >= begin) --it;
  while (it != excluded_.end() && it->first <= end) {
    begin = std::min(begin, it->first);
    end = std::max(end, it->second);
    it = excluded_.erase(it);
  }
  excluded_[begin] = end;
}

void IpRange::ExcludeReserved(const IpPrefix& subnet) {
  if (subnet.length() >= subnet.network().bits() - 1) return;
  Exclude(subnet.network());
  if (subnet.family() == Family::kIpv4) Exclude(subnet.Last());
}

bool IpRange::IsUsable(uint64_t index) const {
  if (index >= size_) return false;
  const auto it = excluded_.upper_bound(index);
  return it == excluded_.begin() || std::prev(it)->second <= index;
}

uint64_t IpRange::usable() const {
  uint64_t count = size_;
  for (const auto& [begin, end] : excluded_) count -= end - begin;
  return count;
}

std::optional<IpAddress> IpRange::FirstUsable() const {
  uint64_t index = 0;
  for (const auto& [begin, end] : excluded_) {
    if (index < begin) break;
    index = end;
  }
  if (index >= size_) return std::nullopt;
  return At(index);
}

}  // namespace pinion::ipam
