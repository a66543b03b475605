// net.ipv4.conf.*.rp_filter: whether the node takes packets that come in over a
// device that is not the way back to their sender. IPv6 has no such setting.
//
// Stateless; see os/netlink.h for who may use a socket.

#ifndef PINION_NETWORK_RP_FILTER_H_
#define PINION_NETWORK_RP_FILTER_H_

#include <linux/rtnetlink.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "os/netlink.h"

namespace pinion::network {

// Documentation/networking/ip-sysctl: not at all; some other way back is
// enough, if the device has an address (net/ipv4/fib_frontend.c).
inline constexpr uint32_t kNoRpFilter = 0;
inline constexpr uint32_t kStrictRpFilter = 1;
inline constexpr uint32_t kLooseRpFilter = 2;

// What counts for a device: the larger of its value and that of "all".
absl::StatusOr<uint32_t> GetRpFilter(os::NetlinkSocket& socket, int index);

// Whether a message of these groups tells of a change of either.
bool IsRpFilterChange(const os::NetlinkMessage& message, int index);
inline constexpr uint32_t kRpFilterGroups = 1U << (RTNLGRP_IPV4_NETCONF - 1);

}  // namespace pinion::network

#endif  // PINION_NETWORK_RP_FILTER_H_
