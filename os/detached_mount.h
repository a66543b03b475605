// Mounts that are in no mount namespace until somebody attaches them, and a
// mount namespace that holds nothing to hide: what a container's root is made
// of ahead of its start. Neither leaves anything in the caller's mount table.
//
// Thread-safe. Errors name the mount option or path; needs CAP_SYS_ADMIN.

#ifndef PINION_OS_DETACHED_MOUNT_H_
#define PINION_OS_DETACHED_MOUNT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::os {

// Absolute paths of at most kMaxMountOption bytes each. The first of `lowers`
// lies on top.
struct Overlay {
  std::vector<std::string> lowers;
  std::string upper;
  std::string work;
  bool is_volatile = false;
};

// What one fsconfig(2) takes as a string.
inline constexpr size_t kMaxMountOption = 255;

// An overlay for move_mount(2), where CanMountOverlay. Closing the descriptor
// unmounts what was not attached.
absl::StatusOr<UniqueFd> MountOverlay(const Overlay& overlay);

// Whether this kernel (6.5 or later; before that all layers are one string) has
// what MountOverlay needs; mounts nothing. `dir`: any directory.
bool CanMountOverlay(const std::string& dir);

// A mount namespace (for setns(2)) whose root is an empty read-only tmpfs and
// in which nothing else can be reached. It ends with its last descriptor.
absl::StatusOr<UniqueFd> EmptyMountNamespace();

}  // namespace pinion::os

#endif  // PINION_OS_DETACHED_MOUNT_H_
