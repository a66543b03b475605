// What a network device may be called: whatever option, annotation or mode the
// name comes from.
//
// Pure functions.

#ifndef PINION_NETWORK_DEVICE_NAME_H_
#define PINION_NETWORK_DEVICE_NAME_H_

#include <string>

#include "absl/status/status.h"

namespace pinion::network {

// 1 to 15 visible ASCII characters, as the kernel takes them (dev_valid_name
// in net/core/dev.c): not "." or "..", without "/" and ":". Nor what it gives
// a meaning to: a "%" would be filled in (dev_alloc_name), "all" and "default"
// are directories of /proc/sys/net/ipv4/conf (register_netdevice: EINVAL).
// InvalidArgument says which of them it is.
absl::Status CheckDeviceName(const std::string& name);

// The same of an interface that a pod gets: not "lo", which it has.
absl::Status CheckPodInterfaceName(const std::string& name);

}  // namespace pinion::network

#endif  // PINION_NETWORK_DEVICE_NAME_H_
