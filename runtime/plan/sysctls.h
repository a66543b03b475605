// Which sysctls a pod may set.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_SYSCTLS_H_
#define PINION_RUNTIME_PLAN_SYSCTLS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace pinion::plan {

struct SysctlPolicy {
  // Beyond Kubernetes' safe ones: names, or prefixes that end in "*". Only
  // namespaced sysctls can be allowed: any other would change the node.
  std::vector<std::string> allowed_unsafe;
  // The pod uses the node's network or IPC namespace: then a sysctl of that
  // namespace is the node's, and refused.
  bool host_network = false;
  bool host_ipc = false;
};

// What `allowed_unsafe` is where the kubelet alone decides
// (--allowed-unsafe-sysctls): every namespaced sysctl.
std::vector<std::string> AllNamespacedSysctls();

// Names are dotted, "net.ipv4.ip_unprivileged_port_start": no "/", which
// would name the same file in other words, no "..", no "+". InvalidArgument
// names the sysctl and the reason.
absl::Status CheckSysctls(const std::map<std::string, std::string>& sysctls,
                          const SysctlPolicy& policy);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_SYSCTLS_H_
