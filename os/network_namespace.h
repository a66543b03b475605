// Network namespaces that nobody is in yet.
//
// Thread-safe.

#ifndef PINION_OS_NETWORK_NAMESPACE_H_
#define PINION_OS_NETWORK_NAMESPACE_H_

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::os {

// Lives as long as a descriptor, a process or a device's move refers to it.
struct NetworkNamespace {
  UniqueFd fd;
  // NETLINK_ROUTE, made inside it: configures it without setns(2).
  UniqueFd route_socket;
};

// Whether devices made in a namespace learn addresses and routes from what
// routers announce on their links: the kernel's default, net.ipv6.conf.default
// .accept_ra, which a device takes when it is made.
enum class RouterAdvertisements { kHeeded, kIgnored };

// False with ipv6.disable=1 on its command line: then there is no net.ipv6, and
// netlink requests with attributes of IPv6 are refused (EAFNOSUPPORT).
bool KernelHasIpv6();

// A new one, with lo up. Made by a thread that is born for it, so the caller
// stays where it is. Takes 0.3 ms, longer while the kernel takes others down.
absl::StatusOr<NetworkNamespace> NewNetworkNamespace(
    RouterAdvertisements advertisements);

}  // namespace pinion::os

#endif  // PINION_OS_NETWORK_NAMESPACE_H_
