// The lowest overlay layer of every container: empty files and directories
// that the pod's own mounts go onto (/etc/hosts, /proc …). Images mostly lack
// them, and making them in each container's writable layer would cost four
// new inodes on the disk at every start, and their removal.
//
// Shared by all containers and never written after it was made.

#ifndef PINION_RUNTIME_MOUNT_POINTS_H_
#define PINION_RUNTIME_MOUNT_POINTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace pinion::runtime {

// Makes <root>/mountpoints. Idempotent.
absl::Status MakeMountPoints(int root_dir);

// Puts it below the image's layers. Every one of its files is mounted over, by
// the request or with the pod's own: no container may see an empty /etc/hosts
// that its image does not have.
void AddMountPoints(std::vector<std::string>& lowers);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_MOUNT_POINTS_H_
