#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"

namespace pinion::launch {

// criu makes the container's mount namespace by itself, out of what it finds in
// its own: a copy of the host's, in which the root and the mounts from outside
// lie where the plan says.
void PrepareRestore(Child& child) {
  const Plan& plan = *child.plan;
  const WireHeader& h = plan.header();
  const char* root = plan.String(h.working_dir);
  // The cgroup was joined by the clone, so its namespace has the container's
  // leaf for a root; what criu restores is born in both.
  if (unshare(CLONE_NEWNS | CLONE_NEWCGROUP) != 0) {
    Die(child, kStepNamespaces, "unshare");
  }
  // criu's mounts must not come back to the host, nor the host's to it.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    Die(child, kStepPropagation, "/");
  }
  OpenMountSources(child);
  const char* base = plan.String(h.base_dir);
  if (h.overlay_data.size == 0) {
    // More layers than mount(2) takes.
    errno = E2BIG;
    Die(child, kStepRootfs, base);
  }
  // Layers' names are relative to it.
  if (chdir(base) != 0) Die(child, kStepRootfs, base);
  if (mount("overlay", root, "overlay", 0, plan.String(h.overlay_data)) != 0) {
    Die(child, kStepRootfs, root);
  }
  if (chdir("/") != 0) Die(child, kStepRootfs, "/");
  child.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (child.root_fd < 0) Die(child, kStepRootfs, "/");
  AttachMounts(child);
  OwnStdio(child);
}

}  // namespace pinion::launch
