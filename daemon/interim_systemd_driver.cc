// Only until runtime/cgroup/systemd_driver.cc is in the tree (CMakeLists.txt).
#include "runtime/cgroup/pod_cgroup.h"

namespace pinion::cgroup {

absl::StatusOr<std::unique_ptr<PodCgroupDriver>> NewSystemdDriver(
    const DriverOptions&) {
  return absl::UnimplementedError("this build has no systemd driver");
}

}  // namespace pinion::cgroup
