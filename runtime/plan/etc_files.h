// The files in /etc that a runtime makes for a pod's containers.
//
// Thread-safe. Values come from the API server: whatever would break out of
// its line is InvalidArgument.

#ifndef PINION_RUNTIME_PLAN_ETC_FILES_H_
#define PINION_RUNTIME_PLAN_ETC_FILES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::plan {

struct ResolverConfig {
  std::vector<std::string> servers;   // IP addresses
  std::vector<std::string> searches;  // domains
  std::vector<std::string> options;   // "ndots:5"
};

// resolv.conf(5).
absl::StatusOr<std::string> ResolvConf(const ResolverConfig& config);

// /etc/hostname: the name and a newline. A name is at most 64 bytes
// (HOST_NAME_MAX) of letters, digits, "-" and ".".
absl::StatusOr<std::string> HostnameFile(const std::string& hostname);

// hosts(5): localhost in both families, and the pod's own name for its
// addresses. Used where the kubelet mounts no file of its own.
absl::StatusOr<std::string> HostsFile(const std::string& hostname,
                                      const std::vector<std::string>& ips);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_ETC_FILES_H_
