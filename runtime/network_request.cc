#include "runtime/network_request.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace pinion::runtime {
namespace {

constexpr char kPrefix[] = "network.pinion.dev/";
constexpr char kNetworks[] = "network.pinion.dev/networks";

absl::Status Malformed(absl::string_view item) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", item, "\" is not NETWORK[@INTERFACE][=ADDRESS]"));
}

// "NAME" or, with the separator, "NAME" and what follows; neither is empty.
bool CutAt(char separator, absl::string_view& text, absl::string_view& rest) {
  const size_t at = text.find(separator);
  if (at == absl::string_view::npos) return !text.empty();
  rest = text.substr(at + 1);
  text = text.substr(0, at);
  return !text.empty() && !rest.empty();
}

absl::StatusOr<network::SecondaryRequest> ParseItem(absl::string_view item,
                                                    size_t place) {
  absl::string_view name = item;
  absl::string_view addresses;
  absl::string_view interface;
  if (!CutAt('=', name, addresses) || !CutAt('@', name, interface)) {
    return Malformed(item);
  }
  network::SecondaryRequest request;
  request.network = std::string(name);
  request.interface_name =
      interface.empty() ? absl::StrCat("net", place) : std::string(interface);
  if (addresses.empty()) return request;
  for (const absl::string_view address : absl::StrSplit(addresses, '+')) {
    if (address.empty()) return Malformed(item);
    request.addresses.emplace_back(address);
  }
  return request;
}

}  // namespace

absl::StatusOr<std::vector<network::SecondaryRequest>> ParseNetworks(
    const std::string& text) {
  std::vector<network::SecondaryRequest> requests;
  if (absl::StripAsciiWhitespace(text).empty()) return requests;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    if (requests.size() == kMaxNetworks) {
      return absl::InvalidArgumentError(
          absl::StrCat("more than ", kMaxNetworks, " networks"));
    }
    PINION_ASSIGN_OR_RETURN(
        network::SecondaryRequest request,
        ParseItem(absl::StripAsciiWhitespace(part), requests.size() + 1));
    requests.push_back(std::move(request));
  }
  return requests;
}

absl::StatusOr<std::vector<network::SecondaryRequest>> NetworksOf(
    const state::PodSpec& spec) {
  const auto found = spec.annotations().find(kNetworks);
  if (found == spec.annotations().end()) {
    return std::vector<network::SecondaryRequest>();
  }
  auto requests = ParseNetworks(found->second);
  if (requests.ok() && !requests->empty() &&
      spec.namespaces().network() == state::NAMESPACE_NODE) {
    requests = absl::InvalidArgumentError(
        "a pod with the node's network has no interfaces of its own");
  }
  if (requests.ok()) return requests;
  return Annotate(requests.status(),
                  absl::StrCat("annotations[", kNetworks, "]"));
}

absl::Status CheckNetworkRequest(const state::PodSpec& spec,
                                 const network::PodNetwork& network) {
  for (const auto& [key, value] : spec.annotations()) {
    if (!absl::StartsWith(key, kPrefix)) continue;
    if (key == kModeAnnotation || key == kNetworks) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("annotation ", key, " is unknown; there are ",
                     kModeAnnotation, " and ", kNetworks));
  }
  const std::string mode = NetworkModeOf(spec);
  absl::Status status = network.CheckMode(mode);
  if (!mode.empty() && spec.namespaces().network() == state::NAMESPACE_NODE) {
    status = absl::InvalidArgumentError(
        "a pod with the node's network has no mode of its own");
  }
  PINION_RETURN_IF_ERROR_AS(status,
                            absl::StrCat("annotations[", kModeAnnotation, "]"));
  PINION_ASSIGN_OR_RETURN(const auto networks, NetworksOf(spec));
  return network.CheckSecondary(networks);
}

}  // namespace pinion::runtime
