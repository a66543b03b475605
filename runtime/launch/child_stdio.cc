#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"

namespace pinion::launch {
namespace {

void CloseRange(const Child& child, int first, int last) {
  if (first > last) return;
  if (syscall(SYS_close_range, first, last, 0) != 0) {
    Die(child, kStepStdio, "close_range");
  }
}

// Closes 3 and above but `keep` (unsorted, -1 for none).
void CloseAllBut(const Child& child, const int (&keep)[8]) {
  int next = 3;
  while (true) {
    int lowest = -1;
    for (const int fd : keep) {
      if (fd >= next && (lowest < 0 || fd < lowest)) lowest = fd;
    }
    if (lowest < 0) break;
    CloseRange(child, next, lowest - 1);
    next = lowest + 1;
  }
  CloseRange(child, next, 0x7fffffff);
}

// The container's own: a descriptor of the host's would let its root change
// the mode of the host's.
int OpenNull(const Child& child) {
  const int fd =
      OpenInRoot(child, "/dev/null", O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
  if (fd < 0) Die(child, kStepStdio, "/dev/null");
  struct stat st;
  if (fstat(fd, &st) != 0) Die(child, kStepStdio, "/dev/null");
  if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
    errno = ENODEV;
    Die(child, kStepStdio, "/dev/null");
  }
  return fd;
}

// Pipes become the user's. Best effort: what is no pipe may refuse, and works
// all the same.
void Own(const Child& child, uid_t uid) {
  for (int i = 0; i < 3; ++i) {
    struct stat st;
    if (uid != 0 && child.stdio[i] >= 0 && fstat(i, &st) == 0 &&
        S_ISFIFO(st.st_mode)) {
      [[maybe_unused]] const int ignored =
          fchown(i, uid, static_cast<gid_t>(-1));
    }
  }
}

}  // namespace

void TakeDescriptors(Child& child) {
  // A terminal comes later; until then, and for streams that nobody gave,
  // the host's /dev/null keeps other descriptors away from 0, 1 and 2.
  const bool terminal = child.plan->Has(kFlagTerminal);
  int copies[3];
  for (int i = 0; i < 3; ++i) {
    int& given = child.stdio[i];
    if (terminal) given = -1;
    const int from = given >= 0 ? given : open("/dev/null", O_RDWR | O_CLOEXEC);
    // Out of each other's way first: one may lie where another belongs.
    copies[i] = fcntl(from, F_DUPFD_CLOEXEC, 3);
    if (copies[i] < 0) Die(child, kStepStdio, "/dev/null");
    if (given >= 0) given = i;
  }
  for (int i = 0; i < 3; ++i) {
    if (dup2(copies[i], i) < 0) Die(child, kStepStdio, "dup2");
  }
  CloseAllBut(child, {child.report_fd, child.console_socket, child.target_pidfd,
                      child.pod_shm_fd, child.root_mount, child.mount_namespace,
                      child.transfer_fd, child.userns_fd});
}

void OwnStdio(const Child& child) {
  Own(child, child.plan->header().host_stdio_uid);
}

void FinishStdio(const Child& child) {
  if (child.plan->Has(kFlagTerminal)) return;
  int null = -1;
  // In a user namespace they have their owner already.
  if (!child.plan->HasUserNamespace()) Own(child, child.plan->header().uid);
  for (int i = 0; i < 3; ++i) {
    if (child.stdio[i] >= 0) continue;
    if (null < 0) null = OpenNull(child);
    if (dup2(null, i) < 0) Die(child, kStepStdio, "dup2");
  }
  if (null >= 0) close(null);
}

}  // namespace pinion::launch
