// The systemd driver with a connection of the caller's choice: for tests.
// Everybody else calls NewSystemdDriver of pod_cgroup.h.

#ifndef PINION_RUNTIME_CGROUP_SYSTEMD_DRIVER_H_
#define PINION_RUNTIME_CGROUP_SYSTEMD_DRIVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "os/sd_bus.h"
#include "runtime/cgroup/pod_cgroup.h"

namespace pinion::cgroup {

absl::StatusOr<std::unique_ptr<PodCgroupDriver>> NewSystemdDriverOn(
    const DriverOptions& options, std::unique_ptr<os::SystemdBus> bus);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_SYSTEMD_DRIVER_H_
