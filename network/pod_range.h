// Which addresses pods can have at all, wherever the range comes from:
// configuration or the kubelet.
//
// Pure functions.

#ifndef PINION_NETWORK_POD_RANGE_H_
#define PINION_NETWORK_POD_RANGE_H_

#include "absl/status/status.h"
#include "ipam/ip_address.h"
#include "ipam/ip_range.h"

namespace pinion::network {

// InvalidArgument if one of its addresses is no single host's, or leads to no
// pod: of "this network", loopback, multicast, reserved, IPv4-mapped (RFC
// 6890, RFC 4291), or link-local, to which Kubernetes lets no Service lead
// (ValidateEndpointIP).
absl::Status CheckPodRange(const ipam::IpRange& range);

// The same of one address, a router's for example.
absl::Status CheckHostAddress(const ipam::IpAddress& address);

// The same of an address that the node may have, where port mappings lead from
// it to a pod: 127.0.0.1 and link-local ones, too, but not IPv6's loopback,
// from which the kernel lets nothing out.
absl::Status CheckNodeAddress(const ipam::IpAddress& address);

}  // namespace pinion::network

#endif  // PINION_NETWORK_POD_RANGE_H_
