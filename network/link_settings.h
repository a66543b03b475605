// What the kernel has set for one device, of net.ipv4.conf and net.ipv6.conf.
//
// Stateless; see os/netlink.h for who may use a socket.

#ifndef PINION_NETWORK_LINK_SETTINGS_H_
#define PINION_NETWORK_LINK_SETTINGS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "os/netlink.h"

namespace pinion::network {

// The device's own values, whatever that of "all" is. 0 also where it has no
// such family.
struct LinkSettings {
  uint32_t arp_announce = 0;
  uint32_t arp_ignore = 0;
  uint32_t accept_ra = 0;
};

absl::StatusOr<LinkSettings> GetLinkSettings(os::NetlinkSocket& socket,
                                             int index);

}  // namespace pinion::network

#endif  // PINION_NETWORK_LINK_SETTINGS_H_
