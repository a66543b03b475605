#include "runtime/launch/pod_shm.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "runtime/launch/tmpfs_root.h"

namespace pinion::launch {
namespace {

constexpr char kMountNamespace[] = "/proc/self/ns/mnt";
constexpr unsigned kEmptyPath = AT_EMPTY_PATH;

int MakeInNewNamespace(uint64_t bytes) {
  const int fd = open(kMountNamespace, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char data[64];
  snprintf(data, sizeof(data), "mode=1777,size=%" PRIu64, bytes);
  if (EnterTmpfsRoot(MS_NOSUID | MS_NODEV | MS_NOEXEC, data) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// A detached mount: no namespace to copy, and none of its mounts to take off
// again (each such umount waits for RCU).
int MakeDetached(uint64_t bytes) {
  const int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  char size[24];
  snprintf(size, sizeof(size), "%" PRIu64, bytes);
  int mount = -1;
  if (fsconfig(context, FSCONFIG_SET_STRING, "size", size, 0) == 0 &&
      fsconfig(context, FSCONFIG_SET_STRING, "mode", "1777", 0) == 0 &&
      fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    mount = fsmount(context, FSMOUNT_CLOEXEC,
                    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  }
  close(context);
  if (mount < 0) return -1;
  // Can it be cloned? From kernel 6.15 on.
  const int clone =
      open_tree(mount, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | kEmptyPath);
  if (clone >= 0) {
    close(clone);
    return mount;
  }
  close(mount);
  return -1;
}

int MakeNamespace(uint64_t bytes) {
  const int own = open(kMountNamespace, O_RDONLY | O_CLOEXEC);
  if (own < 0) return -1;
  int fd = -1;
  if (unshare(CLONE_NEWNS) == 0) {
    fd = MakeInNewNamespace(bytes);
    const int error = errno;
    // Without the host's mounts nothing would work any more.
    if (setns(own, CLONE_NEWNS) != 0) abort();
    errno = error;
  }
  const int error = errno;
  close(own);
  errno = error;
  return fd;
}

}  // namespace

int MakePodShm(uint64_t bytes) {
  const int mount = MakeDetached(bytes);
  return mount >= 0 ? mount : MakeNamespace(bytes);
}

}  // namespace pinion::launch
