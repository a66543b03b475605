#include "ipam/ip_address.h"

#include <arpa/inet.h>

#include <charconv>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"

namespace pinion::ipam {
namespace {

uint64_t ReadBigEndian(const uint8_t* bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

// The top `length` of 64 bits; any length, also below 0 and above 64.
uint64_t Mask(int length) {
  if (length <= 0) return 0;
  if (length >= 64) return ~uint64_t{0};
  return ~uint64_t{0} << (64 - length);
}

struct HostBits {
  uint64_t high;
  uint64_t low;
};

HostBits HostMask(Family family, int length) {
  if (family == Family::kIpv4) return {0, ~Mask(length + 32)};
  return {~Mask(length), ~Mask(length - 64)};
}

// Splits at commas and refuses a second value of one family.
template <typename T, typename Parse>
absl::StatusOr<std::vector<T>> ParsePerFamily(std::string_view text,
                                              Parse parse) {
  std::vector<T> values;
  const absl::string_view view(text.data(), text.size());
  if (absl::StripAsciiWhitespace(view).empty()) return values;
  for (absl::string_view part : absl::StrSplit(view, ',')) {
    part = absl::StripAsciiWhitespace(part);
    PINION_ASSIGN_OR_RETURN(T value,
                            parse(std::string_view(part.data(), part.size())));
    for (const T& other : values) {
      if (other.family() == value.family()) {
        return absl::InvalidArgumentError(
            absl::StrCat("\"", std::string(text), "\" has two ",
                         FamilyName(value.family()), " entries"));
      }
    }
    values.push_back(value);
  }
  return values;
}

}  // namespace

std::string FamilyName(Family family) {
  return family == Family::kIpv4 ? "IPv4" : "IPv6";
}

absl::StatusOr<IpAddress> IpAddress::Parse(std::string_view text) {
  const std::string copy(text);
  uint8_t bytes[16];
  if (text.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("an IP address with a NUL byte");
  }
  if (inet_pton(AF_INET, copy.c_str(), bytes) == 1) {
    return *FromBytes(bytes, 4);
  }
  if (inet_pton(AF_INET6, copy.c_str(), bytes) == 1) {
    return *FromBytes(bytes, 16);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", copy, "\" is no IP address"));
}

std::optional<IpAddress> IpAddress::FromBytes(const void* bytes,
                                              size_t length) {
  const auto* data = static_cast<const uint8_t*>(bytes);
  if (length == 4) return IpAddress(Family::kIpv4, 0, ReadBigEndian(data, 4));
  if (length != 16) return std::nullopt;
  return IpAddress(Family::kIpv6, ReadBigEndian(data, 8),
                   ReadBigEndian(data + 8, 8));
}

std::array<uint8_t, 16> IpAddress::Bytes() const {
  std::array<uint8_t, 16> bytes{};
  if (is_v4()) {
    for (size_t i = 0; i < 4; ++i) {
      bytes[i] = static_cast<uint8_t>(low_ >> (24 - 8 * i));
    }
    return bytes;
  }
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<uint8_t>(high_ >> (56 - 8 * i));
    bytes[i + 8] = static_cast<uint8_t>(low_ >> (56 - 8 * i));
  }
  return bytes;
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  const std::array<uint8_t, 16> bytes = Bytes();
  // Cannot fail: the family is known and the buffer is long enough.
  (void)inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes.data(), text,
                  sizeof(text));
  return text;
}

std::optional<IpAddress> IpAddress::Plus(uint64_t count) const {
  const uint64_t low = low_ + count;
  if (is_v4()) {
    if (low < low_ || low > std::numeric_limits<uint32_t>::max()) {
      return std::nullopt;
    }
    return IpAddress(family_, 0, low);
  }
  const uint64_t high = high_ + (low < low_ ? 1 : 0);
  if (high < high_) return std::nullopt;
  return IpAddress(family_, high, low);
}

std::optional<uint64_t> IpAddress::OffsetFrom(const IpAddress& base) const {
  if (family_ != base.family_ || *this < base) return std::nullopt;
  const uint64_t borrow = low_ < base.low_ ? 1 : 0;
  if (high_ - base.high_ != borrow) return std::nullopt;
  return low_ - base.low_;
}

absl::StatusOr<IpPrefix> IpPrefix::Parse(std::string_view text) {
  const std::string quoted = absl::StrCat("\"", std::string(text), "\"");
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(quoted, " is no CIDR: no \"/length\""));
  }
  PINION_ASSIGN_OR_RETURN(IpAddress address,
                          IpAddress::Parse(text.substr(0, slash)));
  const std::string_view digits = text.substr(slash + 1);
  int length = -1;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc() || end != digits.data() + digits.size() ||
      length < 0 || length > address.bits()) {
    return absl::InvalidArgumentError(absl::StrCat(
        quoted, " is no CIDR: the length is not 0 to ", address.bits()));
  }
  const IpPrefix prefix = Around(address, length);
  if (prefix.network() != address) {
    return absl::InvalidArgumentError(absl::StrCat(
        quoted, " has host bits set; is ", prefix.ToString(), " meant?"));
  }
  return prefix;
}

IpPrefix IpPrefix::Around(const IpAddress& address, int length) {
  const HostBits host = HostMask(address.family(), length);
  IpPrefix prefix;
  prefix.network_ = IpAddress(address.family_, address.high_ & ~host.high,
                              address.low_ & ~host.low);
  prefix.length_ = length;
  return prefix;
}

IpAddress IpPrefix::Last() const {
  const HostBits host = HostMask(family(), length_);
  return IpAddress(family(), network_.high_ | host.high,
                   network_.low_ | host.low);
}

bool IpPrefix::Contains(const IpAddress& address) const {
  return address.family() == family() &&
         Around(address, length_).network_ == network_;
}

bool IpPrefix::Contains(const IpPrefix& other) const {
  return other.length_ >= length_ && Contains(other.network_);
}

std::string IpPrefix::ToString() const {
  return absl::StrCat(network_.ToString(), "/", length_);
}

absl::StatusOr<std::vector<IpAddress>> ParseAddressPerFamily(
    std::string_view text) {
  return ParsePerFamily<IpAddress>(text, &IpAddress::Parse);
}

absl::StatusOr<std::vector<IpPrefix>> ParsePrefixPerFamily(
    std::string_view text) {
  return ParsePerFamily<IpPrefix>(text, &IpPrefix::Parse);
}

}  // namespace pinion::ipam
