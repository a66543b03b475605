// The addresses a pool may hand out: consecutive ones, less exclusions.
//
// Index 0 is the range's first address, whether it may be handed out or not,
// so that an address keeps its index when an exclusion comes or goes. At most
// kMaxWindow addresses are managed: a node runs some hundreds of pods, and a
// /64 would not fit in memory. Of a larger range the first ones are used.
//
// A value type; const methods are thread-safe.

#ifndef PINION_IPAM_IP_RANGE_H_
#define PINION_IPAM_IP_RANGE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ipam/ip_address.h"

namespace pinion::ipam {

class IpRange {
 public:
  static constexpr uint64_t kMaxWindow = 65536;

  explicit IpRange(const IpPrefix& prefix);

  // A CIDR, a single address, or "10.0.0.5-10.0.0.99" (both ends included).
  static absl::StatusOr<IpRange> Parse(std::string_view text);

  const IpAddress& first() const { return first_; }
  // The last address as written, be it beyond the window.
  const IpAddress& last() const { return last_; }
  Family family() const { return first_.family(); }
  // Addresses managed, excluded ones too; at least 1.
  uint64_t size() const { return size_; }

  // `index` < size().
  IpAddress At(uint64_t index) const { return *first_.Plus(index); }
  std::optional<uint64_t> IndexOf(const IpAddress& address) const;
  bool Contains(const IpAddress& address) const {
    return IndexOf(address).has_value();
  }

  // What lies outside the range is ignored.
  void Exclude(const IpAddress& address);
  void Exclude(const IpRange& other);
  // The addresses of `subnet` that no host may have: IPv4's network and
  // broadcast address (none in a /31, RFC 3021, and in a /32), IPv6's
  // subnet-router anycast address (none in a /127, RFC 6164, and in a /128).
  void ExcludeReserved(const IpPrefix& subnet);

  bool IsUsable(uint64_t index) const;
  // How many may be handed out.
  uint64_t usable() const;
  std::optional<IpAddress> FirstUsable() const;

  // "10.1.0.0/16", or "first-last" where that is no prefix; exclusions are
  // not shown. Of a windowed prefix the whole prefix is shown.
  const std::string& name() const { return name_; }

  // Also the same exclusions.
  friend bool operator==(const IpRange&, const IpRange&) = default;

 private:
  IpRange(const IpAddress& first, const IpAddress& last, std::string name);

  IpAddress first_;
  IpAddress last_;
  uint64_t size_;
  std::string name_;
  // Disjoint: the first excluded index to the first one after it.
  std::map<uint64_t, uint64_t> excluded_;
};

}  // namespace pinion::ipam

#endif  // PINION_IPAM_IP_RANGE_H_
