// Device nodes for a container, and the rules of its device filter.
//
// Thread-safe. Looks at the host's /dev at the time of the call.

#ifndef PINION_RUNTIME_PLAN_DEVICES_H_
#define PINION_RUNTIME_PLAN_DEVICES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::plan {

struct DeviceRequest {
  // A device, or a directory of which every device below is meant.
  std::string host_path;
  std::string container_path;  // empty: as on the host
  std::string permissions;     // subset of "rwm"; empty: all three
};

struct DeviceSet {
  std::vector<launch::DeviceNode> nodes;
  std::vector<cgroup::DeviceRule> rules;
};

// null, zero, full, random, urandom and tty, the requested devices, and with
// `privileged` every device in the host's /dev and a filter that allows all.
// Rules also allow what needs no node of ours: pseudo terminals, and making
// (not using) any node.
//
// NotFound: no such host path; InvalidArgument: it is no device, or a path or
// permission is malformed.
absl::StatusOr<DeviceSet> CompileDevices(
    const std::vector<DeviceRequest>& requested, bool privileged);

// One more device; it replaces a node of the same path.
void AddDevice(const launch::DeviceNode& node, const std::string& permissions,
               DeviceSet& set);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_DEVICES_H_
