// Ethernet frames by which stations of one link tell and ask who has an
// address: ARP, and neighbour discovery for IPv6.
//
// Pure functions. ReadClaim takes any bytes.

#ifndef PINION_NETWORK_NEIGHBOUR_FRAMES_H_
#define PINION_NETWORK_NEIGHBOUR_FRAMES_H_

#include <optional>
#include <string>
#include <string_view>

#include "ipam/ip_address.h"
#include "network/rtnl.h"

namespace pinion::network {

// Says that `address` is at `mac`: a gratuitous ARP request (RFC 5227, 1.1:
// "ARP Announcement"), or an unsolicited neighbour advertisement (RFC 4861,
// 7.2.6).
std::string AnnouncementFrame(const ipam::IpAddress& address,
                              const MacAddress& mac);

// Asks who has `address` without saying that `mac` has it: an ARP probe
// (RFC 5227, 2.1.1), or the neighbour solicitation of duplicate address
// detection (RFC 4862, 5.4.2).
std::string ProbeFrame(const ipam::IpAddress& address, const MacAddress& mac);

struct AddressClaim {
  ipam::IpAddress address;
  MacAddress mac = {};
};

// The address that the sender of the frame says it has, or is just about to
// take: the sender's of an ARP packet, the target's of an ARP probe, of an
// advertisement and of a solicitation from the unspecified address. nullopt
// for all other frames.
std::optional<AddressClaim> ReadClaim(std::string_view frame);

}  // namespace pinion::network

#endif  // PINION_NETWORK_NEIGHBOUR_FRAMES_H_
