// Capability names of a request to the sets of a process.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_CAPABILITIES_H_
#define PINION_RUNTIME_PLAN_CAPABILITIES_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::plan {

// Names as the CRI gives them: with or without "CAP_", any case, or "ALL".
struct CapabilityRequest {
  bool privileged = false;
  std::vector<std::string> add;
  std::vector<std::string> drop;
  std::vector<std::string> ambient;
};

// The number of a capability; InvalidArgument for a name nobody knows.
absl::StatusOr<int> ParseCapability(const std::string& name);

// "CAP_NET_ADMIN" for 12; "CAP_63" for one without a name.
std::string CapabilityName(int capability);

// What this process may hand on: its bounding set, which the kernel limits
// to what it knows (/proc/sys/kernel/cap_last_cap).
uint64_t AvailableCapabilities();

// The sets for a process of `uid`. The request starts from the usual
// fourteen; "ALL" in add, then in drop, is applied first, then the names in
// add, then those in drop. Privileged: all that is available.
//
// Defaults and "ALL" mean what is available; a name given that is not is
// FailedPrecondition. An ordinary user's effective and permitted sets are
// what execve(2) would leave of them: the ambient ones. Otherwise execve
// itself would run with powers that the program does not get.
absl::StatusOr<launch::Capabilities> CompileCapabilities(
    const CapabilityRequest& request, uint64_t available, uid_t uid);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_CAPABILITIES_H_
