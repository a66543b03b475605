// What a pod's network looks like from inside: host name, DNS, ports.
//
// Pure functions.

#ifndef PINION_CRI_TRANSLATE_DNS_H_
#define PINION_CRI_TRANSLATE_DNS_H_

#include <string>

#include "absl/status/statusor.h"
#include "cri/api.h"
#include "cri/field.h"
#include "state.pb.h"

namespace pinion::cri {

// RFC 1123: labels of 1 to 63 letters, digits and '-', no '-' at either end;
// HOST_NAME_MAX (64) in all. Empty is allowed: the node's name.
absl::Status CheckHostname(const Field& field, const std::string& hostname);

// Becomes resolv.conf, so nothing may bring a line of its own. Kubernetes'
// limits: 3 servers, 32 search domains of together 2048 bytes.
absl::StatusOr<state::DnsConfig> ToDns(const Field& field,
                                       const api::DNSConfig& in);

// host_port 0 means that none is wanted.
absl::StatusOr<state::PortMapping> ToPortMapping(const Field& field,
                                                 const api::PortMapping& in);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_DNS_H_
