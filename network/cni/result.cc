#include "network/cni/result.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::network::cni {
namespace {

constexpr int64_t kTryAgainLater = 11;
constexpr size_t kMaxLog = 1000;

absl::Status Malformed(absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("the CNI plugin's result: ", why));
}

// "10.1.2.3/24" → "10.1.2.3".
absl::StatusOr<std::string> AddressOf(const Json& ip) {
  PINION_ASSIGN_OR_RETURN(const std::string cidr, JsonString(ip, "address"));
  const std::string address = cidr.substr(0, cidr.find('/'));
  in6_addr bytes = {};
  if (inet_pton(AF_INET, address.c_str(), &bytes) != 1 &&
      inet_pton(AF_INET6, address.c_str(), &bytes) != 1) {
    return Malformed(absl::StrCat("\"", cidr, "\" is no address"));
  }
  return address;
}

// Which interface has it; nothing: none in particular.
absl::StatusOr<std::optional<size_t>> OwnerOf(const Json& ip,
                                              size_t interfaces) {
  const auto index = ip.find("interface");
  if (index == ip.end() || index->is_null()) return std::nullopt;
  if (!index->is_number_integer() || *index < 0 ||
      index->get<uint64_t>() >= interfaces) {
    return Malformed("an address belongs to no interface of it");
  }
  return index->get<size_t>();
}

// -1: there is none.
absl::StatusOr<int> FindInterface(const Json* interfaces,
                                  const std::string& name, std::string* mac) {
  if (interfaces == nullptr) return -1;
  for (size_t i = 0; i < interfaces->size(); ++i) {
    const Json& entry = (*interfaces)[i];
    if (!entry.is_object()) return Malformed("an interface is no object");
    PINION_ASSIGN_OR_RETURN(const std::string sandbox,
                            JsonString(entry, "sandbox"));
    PINION_ASSIGN_OR_RETURN(const std::string its, JsonString(entry, "name"));
    if (sandbox.empty() || its != name) continue;
    PINION_ASSIGN_OR_RETURN(*mac, JsonString(entry, "mac"));
    return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

absl::StatusOr<PodAddresses> AddressesOf(const Json& result,
                                         const std::string& name) {
  if (!result.is_object()) return Malformed("no object");
  PINION_ASSIGN_OR_RETURN(const Json* interfaces,
                          JsonArray(result, "interfaces"));
  PodAddresses addresses;
  PINION_ASSIGN_OR_RETURN(const int ours,
                          FindInterface(interfaces, name, &addresses.mac));
  addresses.interface_name = name;
  PINION_ASSIGN_OR_RETURN(const Json* ips, JsonArray(result, "ips"));
  if (ips == nullptr) return Malformed("no addresses");
  std::vector<std::string> all;
  std::vector<std::string> of_none;
  const size_t count = interfaces == nullptr ? 0 : interfaces->size();
  for (const Json& ip : *ips) {
    if (!ip.is_object()) return Malformed("an address is no object");
    PINION_ASSIGN_OR_RETURN(const std::string address, AddressOf(ip));
    PINION_ASSIGN_OR_RETURN(const std::optional<size_t> owner,
                            OwnerOf(ip, count));
    if (!owner.has_value()) {
      of_none.push_back(address);
    } else if (static_cast<int>(*owner) == ours) {
      all.push_back(address);
    }
  }
  all.insert(all.end(), of_none.begin(), of_none.end());
  if (all.empty()) return Malformed(absl::StrCat("no address for ", name));
  addresses.ip = all.front();
  addresses.additional_ips.assign(all.begin() + 1, all.end());
  return addresses;
}

absl::Status ErrorOf(std::string_view output, std::string_view log, int code) {
  const absl::StatusOr<Json> error = ParseJsonObject(output, "error");
  std::string message;
  std::string details;
  bool later = false;
  if (error.ok()) {
    message = JsonString(*error, "msg").value_or("");
    details = JsonString(*error, "details").value_or("");
    const auto number = error->find("code");
    later = number != error->end() && *number == kTryAgainLater;
  }
  if (message.empty()) {
    const absl::string_view end(
        log.data() + (log.size() > kMaxLog ? log.size() - kMaxLog : 0),
        std::min(log.size(), kMaxLog));
    message =
        absl::StrCat("exit code ", code, ": ", absl::StripAsciiWhitespace(end));
  }
  if (!details.empty()) absl::StrAppend(&message, " (", details, ")");
  return later ? absl::UnavailableError(message) : absl::InternalError(message);
}

}  // namespace pinion::network::cni
