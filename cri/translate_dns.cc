#include "cri/translate_dns.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::cri {
namespace {

constexpr int kMaxServers = 3;
constexpr int kMaxSearches = 32;
constexpr size_t kMaxSearchBytes = 2048;
constexpr int kMaxOptions = 64;

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9');
}

bool IsDnsLabel(std::string_view label) {
  return !label.empty() && label.size() <= 63 &&
         IsAlphanumeric(label.front()) && IsAlphanumeric(label.back()) &&
         std::all_of(label.begin(), label.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-'; });
}

// One word of a line of resolv.conf.
absl::Status CheckWord(const Field& field, const std::string& word) {
  if (word.empty()) return RefuseField(field, "must not be empty");
  PINION_RETURN_IF_ERROR(CheckLine(field, word, 253));
  if (word.find(' ') != std::string::npos) {
    return Refuse(field, word, "must not hold blanks");
  }
  return absl::OkStatus();
}

template <typename List>
absl::Status CheckCount(const Field& field, const List& list, int max) {
  if (list.size() <= max) return absl::OkStatus();
  return Refuse(field, list.size(),
                absl::StrCat("are too many entries, at most ", max));
}

absl::StatusOr<state::PortMapping::Protocol> ToProtocol(const Field& field,
                                                        api::Protocol in) {
  switch (in) {
    case api::TCP:
      return state::PortMapping::TCP;
    case api::UDP:
      return state::PortMapping::UDP;
    case api::SCTP:
      return state::PortMapping::SCTP;
    default:
      return Refuse(field, static_cast<int64_t>(in),
                    "is no protocol of the CRI");
  }
}

}  // namespace

absl::Status CheckHostname(const Field& field, const std::string& hostname) {
  if (hostname.empty()) return absl::OkStatus();
  bool valid = hostname.size() <= 64;
  std::string_view rest = hostname;
  while (valid) {
    const size_t dot = rest.find('.');
    valid = IsDnsLabel(rest.substr(0, dot));
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (valid) return absl::OkStatus();
  return Refuse(field, hostname,
                "must be a host name (RFC 1123): labels of at most 63 letters, "
                "digits and inner hyphens, together at most 64 bytes");
}

absl::StatusOr<state::DnsConfig> ToDns(const Field& field,
                                       const api::DNSConfig& in) {
  const Field servers = field.Sub("servers");
  const Field searches = field.Sub("searches");
  const Field options = field.Sub("options");
  PINION_RETURN_IF_ERROR(CheckCount(servers, in.servers(), kMaxServers));
  for (int i = 0; i < in.servers_size(); ++i) {
    PINION_RETURN_IF_ERROR(CheckIpAddress(servers.At(i), in.servers(i)));
  }
  PINION_RETURN_IF_ERROR(CheckCount(searches, in.searches(), kMaxSearches));
  size_t bytes = 0;
  for (int i = 0; i < in.searches_size(); ++i) {
    PINION_RETURN_IF_ERROR(CheckWord(searches.At(i), in.searches(i)));
    bytes += in.searches(i).size() + 1;
  }
  if (bytes > kMaxSearchBytes) {
    return RefuseField(searches, absl::StrCat("must have at most ",
                                              kMaxSearchBytes, " bytes"));
  }
  PINION_RETURN_IF_ERROR(CheckCount(options, in.options(), kMaxOptions));
  for (int i = 0; i < in.options_size(); ++i) {
    PINION_RETURN_IF_ERROR(CheckWord(options.At(i), in.options(i)));
  }
  state::DnsConfig out;
  *out.mutable_servers() = in.servers();
  *out.mutable_searches() = in.searches();
  *out.mutable_options() = in.options();
  return out;
}

absl::StatusOr<state::PortMapping> ToPortMapping(const Field& field,
                                                 const api::PortMapping& in) {
  const Field host_port = field.Sub("host_port");
  PINION_RETURN_IF_ERROR(CheckRange(field.Sub("container_port"),
                                    in.container_port(),
                                    in.host_port() == 0 ? 0 : 1, 65535));
  PINION_RETURN_IF_ERROR(CheckRange(host_port, in.host_port(), 0, 65535));
  if (!in.host_ip().empty()) {
    PINION_RETURN_IF_ERROR(CheckIpAddress(field.Sub("host_ip"), in.host_ip()));
  }
  PINION_ASSIGN_OR_RETURN(const auto protocol,
                          ToProtocol(field.Sub("protocol"), in.protocol()));
  state::PortMapping out;
  out.set_protocol(protocol);
  out.set_container_port(static_cast<uint32_t>(in.container_port()));
  out.set_host_port(static_cast<uint32_t>(in.host_port()));
  out.set_host_ip(in.host_ip());
  return out;
}

}  // namespace pinion::cri
