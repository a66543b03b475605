// CDI devices in a container's record: found and worked out when it is
// created, so that a specification file may change or go while it lives.
//
// Thread-safe.

#ifndef PINION_RUNTIME_CDI_H_
#define PINION_RUNTIME_CDI_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "runtime/launch/launch_spec.h"
#include "runtime/plan/devices.h"
#include "state.pb.h"

namespace pinion::runtime {

// Adds what the devices that `record.spec()` names bring: environment, groups
// of the user, device nodes and mounts. The user must be resolved. The errors
// are FindCdiDevices'; FailedPrecondition: a device or a mount's source that
// the files speak of is not there.
absl::Status ApplyCdiDevices(const std::vector<std::string>& spec_dirs,
                             state::ContainerRecord& record);

// What of it is the launch's.
void AddCdiNodes(const state::ContainerRecord& record, plan::DeviceSet& set);
void AddCdiMounts(const state::ContainerRecord& record,
                  launch::LaunchSpec& launch);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_CDI_H_
