// What is never heeded: what a router, or somebody who says that he is one,
// announces. A pod's further interface learns neither addresses nor routes so,
// also in a namespace whose interfaces otherwise do (AttachRequest
// .heeds_routers); a pod that asks for it by a sysctl (net.ipv6.conf.default
// .accept_ra) has it on all. Nor do pinion's devices on the host: a pod, or a
// VLAN's tenant, would make himself the router of the node.
//
// Stateless; thread-safe but for the sockets (os/netlink.h).

#ifndef PINION_NETWORK_ROUTER_ADVERTISEMENTS_H_
#define PINION_NETWORK_ROUTER_ADVERTISEMENTS_H_

#include <string>

#include "absl/status/status.h"
#include "network/rtnl.h"
#include "os/netlink.h"

namespace pinion::network {

// net.ipv6.conf.<interface>.accept_ra = 0, before the interface is up. The
// kernel has no netlink attribute for it (IFLA_INET6_CONF is only shown), so a
// thread that is born for it enters the namespace. Success where the interface
// has no IPv6.
absl::Status IgnoreRouterAdvertisements(int netns_fd,
                                        const std::string& interface);

// The same for a device of pinion's on the host, before it is set up and
// whenever it is looked at. If it heeded routers until now, what it may have
// learned goes: with an IPv6 route of theirs the node's own traffic would go on
// leaving that way. As a rule there is nothing to do, and no thread is made.
absl::Status RefuseRouters(os::NetlinkSocket& host, const Link& link);

}  // namespace pinion::network

#endif  // PINION_NETWORK_ROUTER_ADVERTISEMENTS_H_
