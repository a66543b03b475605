// Checks of single configuration values. Each returns OK or InvalidArgument
// with a phrase that follows the key: "must be an absolute path, not \"x\"".
//
// Thread-safe.

#ifndef PINION_DAEMON_CONFIG_CHECKS_H_
#define PINION_DAEMON_CONFIG_CHECKS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pinion::daemon {

absl::Status AnyText(const std::string& text);

// Absolute, without "." and ".." components, at most 4095 bytes.
absl::Status AbsolutePath(const std::string& text);
absl::Status AbsolutePathOrEmpty(const std::string& text);

// An absolute path that fits sun_path with the suffix a new socket gets.
absl::Status SocketPathOrEmpty(const std::string& text);

// ADDRESS:PORT, or empty.
absl::Status ListenAddress(const std::string& text);
absl::Status ListenAddressOrEmpty(const std::string& text);

// An address, or one of each family, comma-separated; or empty.
absl::Status IpAddressesOrEmpty(const std::string& text);

// An IPv4 or IPv6 prefix without host bits, or two, comma-separated, one of
// each family; or empty.
absl::Status CidrOrEmpty(const std::string& text);
// The same of addresses that pods can have, and FIRST-LAST too.
absl::Status RangeOrEmpty(const std::string& text);

// A CIDR or an address or FIRST-LAST.
absl::Status AddressSet(const std::string& text);

// "PREFIX" or "PREFIX via ADDRESS".
absl::Status StaticRoute(const std::string& text);

// What network.mode may be.
absl::Status NetworkMode(const std::string& text);

// What the kernel takes as a network device's name.
absl::Status DeviceName(const std::string& text);
// The same, but not "lo", which every pod has.
absl::Status PodInterfaceName(const std::string& text);
// A device's name, or "auto".
absl::Status ParentDevice(const std::string& text);

// HOST[:PORT], no scheme and no path.
absl::Status RegistryHost(const std::string& text);
absl::Status RegistryHostOrEmpty(const std::string& text);

// http://…, https://…, socks5://… or HOST:PORT; or empty.
absl::Status ProxyOrEmpty(const std::string& text);

// A label of DNS, as Kubernetes demands of RuntimeClass handlers.
absl::Status HandlerName(const std::string& text);

// A dotted sysctl name; "net.core.*" is a prefix.
absl::Status SysctlPattern(const std::string& text);

// A slice ("pinion.slice") or a cgroup path ("/pinion"), or empty.
absl::Status CgroupParentOrEmpty(const std::string& text);

// A list of CPUs that is not empty: "0-1,8".
absl::Status CpuList(const std::string& text);

// "90s", "5m", "1h": seconds.
absl::StatusOr<int64_t> DurationSeconds(const std::string& text);

// The URL with user and password replaced by "***".
std::string WithoutUserInfo(const std::string& url);

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_CONFIG_CHECKS_H_
