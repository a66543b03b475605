#include <fcntl.h>
#include <linux/limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::launch {
namespace {

const char* WorkingDir(const Child& child) {
  const char* dir = child.plan->String(child.plan->header().working_dir);
  return *dir == '\0' ? "/" : dir;
}

// Enters `fd`, which must lie in the container: a descriptor of the host's
// that leaked would lead out (CVE-2024-21626), and the kernel says
// "(unreachable)" of such a directory.
bool Enter(const Child& child, int fd) {
  if (fchdir(fd) != 0) return false;
  char path[PATH_MAX];
  if (syscall(SYS_getcwd, path, sizeof(path)) < 0 || path[0] != '/') {
    errno = EXDEV;
    Die(child, kStepWorkingDir, WorkingDir(child));
  }
  return true;
}

}  // namespace

void EnterWorkingDir(Child& child) {
  const char* dir = WorkingDir(child);
  const bool container =
      child.plan->header().kind == static_cast<uint32_t>(Kind::kContainer);
  int fd = OpenInRoot(child, dir, O_PATH | O_DIRECTORY, 0);
  if (fd < 0 && errno == ENOENT && container) {
    fd = MakeInRoot(child, dir, true);
  }
  const bool entered = fd >= 0 && Enter(child, fd);
  if (!entered) {
    if (errno != EACCES && errno != EPERM) Die(child, kStepWorkingDir, dir);
    child.dir_refused = true;
  }
  if (fd >= 0) close(fd);
}

void RetryWorkingDir(const Child& child) {
  const char* dir = WorkingDir(child);
  const int fd = OpenInRoot(child, dir, O_PATH | O_DIRECTORY, 0);
  if (fd < 0 || !Enter(child, fd)) Die(child, kStepWorkingDir, dir);
  close(fd);
}

}  // namespace pinion::launch
