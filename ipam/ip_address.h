// An IPv4 or IPv6 address, and a network prefix (CIDR), as plain values.
//
// Value types; const methods are thread-safe.

#ifndef PINION_IPAM_IP_ADDRESS_H_
#define PINION_IPAM_IP_ADDRESS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::ipam {

enum class Family : uint8_t { kIpv4 = 4, kIpv6 = 6 };

// "IPv4" or "IPv6".
std::string FamilyName(Family family);

class IpAddress {
 public:
  // 0.0.0.0
  IpAddress() = default;

  // What inet_pton(3) accepts: dotted quad, or IPv6 without a zone.
  static absl::StatusOr<IpAddress> Parse(std::string_view text);
  // 4 or 16 bytes in network order; nullopt for any other length.
  static std::optional<IpAddress> FromBytes(const void* bytes, size_t length);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::kIpv4; }
  // 32 or 128.
  int bits() const { return is_v4() ? 32 : 128; }

  // Network order; the first 4 of 16 bytes for IPv4.
  std::array<uint8_t, 16> Bytes() const;
  size_t byte_count() const { return is_v4() ? 4 : 16; }

  std::string ToString() const;

  // The address `count` further on; nullopt past the family's last one.
  std::optional<IpAddress> Plus(uint64_t count) const;
  // How far this is past `base`; nullopt if it is before it, of the other
  // family, or 2^64 or more away.
  std::optional<uint64_t> OffsetFrom(const IpAddress& base) const;

  // IPv4 sorts before IPv6.
  auto operator<=>(const IpAddress&) const = default;

 private:
  friend class IpPrefix;
  IpAddress(Family family, uint64_t high, uint64_t low)
      : family_(family), high_(high), low_(low) {}

  Family family_ = Family::kIpv4;
  uint64_t high_ = 0;  // always 0 for IPv4
  uint64_t low_ = 0;
};

class IpPrefix {
 public:
  // 0.0.0.0/0
  IpPrefix() = default;

  // "10.1.0.0/16". InvalidArgument for anything else, host bits included:
  // the message names the prefix that may have been meant.
  static absl::StatusOr<IpPrefix> Parse(std::string_view text);
  // The prefix of this length around an address. `length` must be within the
  // family's.
  static IpPrefix Around(const IpAddress& address, int length);

  const IpAddress& network() const { return network_; }
  int length() const { return length_; }
  Family family() const { return network_.family(); }
  // The last address: IPv4's broadcast address.
  IpAddress Last() const;

  bool Contains(const IpAddress& address) const;
  bool Contains(const IpPrefix& other) const;
  std::string ToString() const;

  bool operator==(const IpPrefix&) const = default;

 private:
  IpAddress network_;
  int length_ = 0;
};

// Comma-separated addresses or prefixes, at most one of each family, as dual
// stack is written in the configuration and in a PodCIDR. Spaces around the
// commas are accepted; an empty text is an empty list.
absl::StatusOr<std::vector<IpAddress>> ParseAddressPerFamily(
    std::string_view text);
absl::StatusOr<std::vector<IpPrefix>> ParsePrefixPerFamily(
    std::string_view text);

}  // namespace pinion::ipam

#endif  // PINION_IPAM_IP_ADDRESS_H_
