// MAC addresses that follow from IP addresses: a reused address keeps its
// MAC, so neighbours' ARP caches stay right, and two pods of one L2 network
// have different ones as long as their addresses differ.
//
// Pure functions.

#ifndef PINION_NETWORK_MAC_H_
#define PINION_NETWORK_MAC_H_

#include "ipam/ip_address.h"
#include "network/rtnl.h"

namespace pinion::network {

// IPv4: 6e:70 and the four bytes of the address. IPv6: 6a and 40 bits of a
// hash. Both prefixes are locally administered and unicast (IEEE 802: the
// first byte's two low bits are 10).
MacAddress MacFor(const ipam::IpAddress& address);

// The IPv6 link-local address of an interface with this MAC: fe80::/64 and
// its modified EUI-64 (RFC 4291, appendix A).
ipam::IpAddress LinkLocalFor(const MacAddress& mac);

}  // namespace pinion::network

#endif  // PINION_NETWORK_MAC_H_
