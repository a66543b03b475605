// The lowest overlay layer of every container: empty files and directories
// that the pod's own mounts go onto (/etc/hosts, /proc …). Images mostly lack
// them, and making them in each container's writable layer would cost four
// new inodes on the disk at every start, and their removal.
//
// Shared by all containers and never written after it was made.

#ifndef PINION_RUNTIME_MOUNT_POINTS_H_
#define PINION_RUNTIME_MOUNT_POINTS_H_

#include "absl/status/status.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::runtime {

// Makes <root>/mountpoints. Idempotent.
absl::Status MakeMountPoints(int root_dir);

// Puts it below the image's layers. Only where every one of its files is
// mounted over in `launch`: no container may see an empty /etc/hosts that its
// image does not have.
void AddMountPoints(launch::LaunchSpec& launch);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_MOUNT_POINTS_H_
