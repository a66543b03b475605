#include "network/pod_range.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;
using ipam::IpPrefix;
using ipam::IpRange;

struct NoHosts {
  const char* prefix;
  const char* what;
  bool nodes = false;  // a node may have one, and be reached by it
};

constexpr NoHosts kNoHosts[] = {
    {"0.0.0.0/8", "\"this network\""},
    {"127.0.0.0/8", "loopback", true},
    {"169.254.0.0/16", "link-local", true},
    {"224.0.0.0/4", "multicast"},
    {"240.0.0.0/4", "reserved"},
    {"::/64", "loopback, IPv4-mapped and the like"},
    {"fe80::/10", "link-local", true},
    {"ff00::/8", "multicast"},
};

// The first of them that has addresses from `first` to `last`.
const NoHosts* FindOverlap(const IpAddress& first, const IpAddress& last) {
  for (const NoHosts& none : kNoHosts) {
    const IpPrefix prefix = *IpPrefix::Parse(none.prefix);
    // IPv4 sorts before IPv6.
    if (first <= prefix.Last() && prefix.network() <= last) return &none;
  }
  return nullptr;
}

absl::Status IsNoHosts(const IpAddress& address, const NoHosts& none) {
  return absl::InvalidArgumentError(absl::StrCat(address.ToString(), " is of ",
                                                 none.prefix, " (", none.what,
                                                 "), and no host's address"));
}

}  // namespace

absl::Status CheckPodRange(const IpRange& range) {
  const NoHosts* const none = FindOverlap(range.first(), range.last());
  if (none == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(range.name(), " has addresses of ", none->prefix, " (",
                   none->what, "), which no pod can have"));
}

absl::Status CheckHostAddress(const IpAddress& address) {
  const NoHosts* const none = FindOverlap(address, address);
  return none == nullptr ? absl::OkStatus() : IsNoHosts(address, *none);
}

absl::Status CheckNodeAddress(const IpAddress& address) {
  const NoHosts* const none = FindOverlap(address, address);
  return none == nullptr || none->nodes ? absl::OkStatus()
                                        : IsNoHosts(address, *none);
}

}  // namespace pinion::network
