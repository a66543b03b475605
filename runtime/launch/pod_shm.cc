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

}  // namespace

int MakePodShm(uint64_t bytes) {
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

}  // namespace pinion::launch
