// The systemd driver with a connection of the caller's choice: for tests.
// Everybody else calls NewSystemdDriver of pod_cgroup.h.

#ifndef PINION_RUNTIME_CGROUP_SYSTEMD_DRIVER_H_
#define PINION_RUNTIME_CGROUP_SYSTEMD_DRIVER_H_

#include <chrono>
#include <memory>

#include "absl/status/statusor.h"
#include "os/sd_bus.h"
#include "runtime/cgroup/pod_cgroup.h"

namespace pinion::cgroup {

struct SystemdTimeouts {
  // systemd may be busy with a daemon-reload, or with 270 pods at once.
  std::chrono::milliseconds job{30'000};
  // How long systemd gets to collect an empty scope before it is told to.
  std::chrono::milliseconds collect{2'000};
};

absl::StatusOr<std::unique_ptr<PodCgroupDriver>> NewSystemdDriverOn(
    const DriverOptions& options, std::unique_ptr<os::SystemdBus> bus,
    const SystemdTimeouts& timeouts = {});

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_SYSTEMD_DRIVER_H_
