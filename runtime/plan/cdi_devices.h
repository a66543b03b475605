// Finds the CDI devices that a container asks for in the node's specification
// files.
//
// Thread-safe; reads the files anew each time, as they come and go with
// drivers.

#ifndef PINION_RUNTIME_PLAN_CDI_DEVICES_H_
#define PINION_RUNTIME_PLAN_CDI_DEVICES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/plan/cdi_spec.h"

namespace pinion::plan {

// The edits of `names` ("vendor.com/class=name") in their order, each file's
// own before those of its first device. Read are *.json, *.yaml in `dirs`, at
// most 1 MiB each; where two directories have a device, the later one's
// counts. A malformed file is left out; the errors are told if a device is
// not found.
//
// InvalidArgument: malformed name, or no such device. FailedPrecondition: two
// files of one directory have it. Unimplemented: it asks for what pinion does
// not do.
absl::StatusOr<CdiEdits> FindCdiDevices(const std::vector<std::string>& dirs,
                                        const std::vector<std::string>& names);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_CDI_DEVICES_H_
