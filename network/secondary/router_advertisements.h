// A further interface learns neither addresses nor routes from what a router,
// or somebody who says that he is one, announces on its network, also in a
// namespace whose interfaces otherwise do (AttachRequest.heeds_routers). A pod
// that asks for it by a sysctl (net.ipv6.conf.default.accept_ra) has it on all.
//
// Stateless, thread-safe.

#ifndef PINION_NETWORK_SECONDARY_ROUTER_ADVERTISEMENTS_H_
#define PINION_NETWORK_SECONDARY_ROUTER_ADVERTISEMENTS_H_

#include <string>

#include "absl/status/status.h"

namespace pinion::network {

// net.ipv6.conf.<interface>.accept_ra = 0, before the interface is up. The
// kernel has no netlink attribute for it (IFLA_INET6_CONF is only shown), so a
// thread that is born for it enters the namespace. Success where the interface
// has no IPv6.
absl::Status IgnoreRouterAdvertisements(int netns_fd,
                                        const std::string& interface);

}  // namespace pinion::network

#endif  // PINION_NETWORK_SECONDARY_ROUTER_ADVERTISEMENTS_H_
