// DNS messages (RFC 1035): one question, and what a server makes of it.
//
// Pure functions. Answers come from whoever has the server's address: they are
// checked, and nothing of them is kept but numbers.

#ifndef PINION_TOOLS_DNS_MESSAGE_H_
#define PINION_TOOLS_DNS_MESSAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::tools {

struct DnsQuestion {
  // "kubernetes.default.svc.cluster.local", or "." for the root.
  std::string name;
  uint16_t type = 1;
};

inline constexpr uint16_t kDnsTypeA = 1;
inline constexpr uint16_t kDnsTypeNs = 2;

// What any server of such a pod can answer: the API server's name where the
// search list is a cluster's, else the root's name servers.
DnsQuestion QuestionFor(const std::vector<std::string>& searches);

// A query with recursion desired. InvalidArgument: no name of DNS.
absl::StatusOr<std::string> DnsQuery(uint16_t id, const DnsQuestion& question);

struct DnsAnswer {
  int code = 0;  // RCODE
  uint16_t answers = 0;
  bool truncated = false;
};

// InvalidArgument: no answer to that question, or none at all.
absl::StatusOr<DnsAnswer> ParseDnsAnswer(std::string_view message, uint16_t id,
                                         const DnsQuestion& question);

// "NOERROR", "SERVFAIL", "NXDOMAIN", "REFUSED", …
std::string DnsCodeName(int code);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_DNS_MESSAGE_H_
