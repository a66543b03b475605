// How much a device may send: the annotations kubernetes.io/egress-bandwidth,
// on the pod's end of its link, and, in mode bridge, ingress-bandwidth, on the
// node's end.
//
// Stateless.

#ifndef PINION_NETWORK_RATE_LIMIT_H_
#define PINION_NETWORK_RATE_LIMIT_H_

#include <cstdint>
#include <string>

#include "os/netlink.h"

namespace pinion::network {

// A token bucket (tc-tbf(8)) in place of what the device has; the same again
// is success. ENOENT: the kernel has no sch_tbf.
void AppendRateLimit(os::NetlinkBatch& batch, int index,
                     const std::string& name, uint64_t bits_per_second);

}  // namespace pinion::network

#endif  // PINION_NETWORK_RATE_LIMIT_H_
