// The container's own process in a user namespace: attaches what the preparer
// (child_preparer.cc) sends. It has no power over the host, not even here.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"
#include "runtime/launch/clone_in_user_namespace.h"

namespace pinion::launch {

int TakePrepared(const Child& child) {
  const int fd = ReceiveFd(child.transfer_fd);
  // The preparer has ended: after a report, which then is the one that is
  // read, or killed without one.
  if (fd < 0) Die(child, kStepPrepare, "its preparer ended");
  return fd;
}

void TakeMappedRoot(const Child& child) {
  if (!TakeRootOfUserNamespace()) Die(child, kStepUser, "user namespace");
}

void EnterMappedRootfs(Child& child) {
  const Plan& plan = *child.plan;
  if (plan.Has(kFlagOwnCgroupNamespace) && unshare(CLONE_NEWCGROUP) != 0) {
    Die(child, kStepNamespaces, "unshare");
  }
  // The mount namespace came into being with the user namespace's own: all
  // in it is a slave of the host's already. The root lies upon the host's
  // for a while: proc and sysfs can be mounted only while those of the host
  // can be seen (mount_too_revealing in the kernel's fs/namespace.c).
  child.root_fd = TakePrepared(child);
  if (move_mount(child.root_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) !=
      0) {
    Die(child, kStepRootfs, "/");
  }
  MountKernelFilesystems(child);
  if (fchdir(child.root_fd) != 0) Die(child, kStepPivot, "/");
  const int root = child.root_fd;
  PivotRoot(child);
  close(root);
  const auto mounts = plan.Array<WireMount>(plan.header().mounts);
  if (mounts.size() > 0) {
    child.sources =
        static_cast<int*>(Scratch(child, mounts.size() * sizeof(int)));
  }
  for (uint32_t i = 0; i < mounts.size(); ++i) {
    child.sources[i] = TakePrepared(child);
  }
  close(child.transfer_fd);
}

}  // namespace pinion::launch
