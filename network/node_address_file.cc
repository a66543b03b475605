#include "network/node_address_file.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ipam/pool.h"
#include "ipam/pool_reader.h"
#include "os/file.h"

namespace pinion::network {
namespace {

using ipam::IpAddress;
using ipam::IpRange;
using ipam::Pool;
using ipam::PoolEntry;

constexpr char kOnHostLink[] = "host-link";
constexpr char kOnParent[] = "parent";

// Starts with a dot: no pool's name does (ipam::ListPools).
std::string FileFor(const Options& options, const IpRange& range) {
  return absl::StrCat(options.ipam_dir, "/.node-", Pool::FileName(range));
}

// As MacToString writes it.
std::optional<MacAddress> ParseMac(const std::string& text) {
  MacAddress mac{};
  int end = 0;
  if (sscanf(text.c_str(), "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0],
             &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], &end) != 6 ||
      static_cast<size_t>(end) != text.size()) {
    return std::nullopt;
  }
  return mac;
}

bool HasOwners(const Options& options, const IpRange& range) {
  const absl::StatusOr<std::vector<PoolEntry>> entries = ipam::ReadPool(
      absl::StrCat(options.ipam_dir, "/", Pool::FileName(range)));
  return entries.ok() &&
         std::any_of(entries->begin(), entries->end(),
                     [](const PoolEntry& entry) {
                       return entry.state == PoolEntry::State::kOwned;
                     });
}

}  // namespace

absl::Status RememberNodeAddress(const Options& options, const FamilyPlan& plan,
                                 const MacAddress& mac) {
  if (!plan.node) return absl::OkStatus();
  return os::ReplaceFileAt(
      AT_FDCWD, FileFor(options, plan.range),
      absl::StrCat(plan.node->ToString(), " ",
                   plan.node_on_host_link ? kOnHostLink : kOnParent, " ",
                   MacToString(mac), "\n"),
      0600);
}

std::optional<NodeAddress> RememberedNodeAddress(const Options& options,
                                                 const IpRange& range) {
  const absl::StatusOr<std::string> text =
      os::ReadFileAt(AT_FDCWD, FileFor(options, range), 256);
  // Damaged: as if this were the first start.
  if (!text.ok()) return std::nullopt;
  // What a later version adds is passed over.
  std::vector<std::string> words =
      absl::StrSplit(absl::StripAsciiWhitespace(*text), ' ');
  words.resize(3);
  const absl::StatusOr<IpAddress> address = IpAddress::Parse(words[0]);
  if (!address.ok() || address->family() != range.family() ||
      (words[1] != kOnHostLink && words[1] != kOnParent) ||
      !HasOwners(options, range)) {
    return std::nullopt;
  }
  const bool on_host_link = words[1] == kOnHostLink;
  // Of another mode, which was to be changed on a drained node: an ipvlan's
  // host link cannot share it with the parent.
  if (options.mode == Options::Mode::kIpvlan && !on_host_link) {
    return std::nullopt;
  }
  return NodeAddress{*address, on_host_link, ParseMac(words[2])};
}

}  // namespace pinion::network
