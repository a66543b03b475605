#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"

namespace pinion::launch {
namespace {

// Splits off the last name of `path`, whose directory is made if missing.
int MakeParent(const Child& child, Step step, const char* path,
               const char** name) {
  char dir[4096];
  const char* slash = strrchr(path, '/');
  const size_t length =
      slash != nullptr ? static_cast<size_t>(slash - path) : 0;
  if (length >= sizeof(dir) - 1) {
    errno = ENAMETOOLONG;
    Die(child, step, path);
  }
  memcpy(dir, path, length);
  memcpy(dir + length, "/", 2);
  *name = slash != nullptr ? slash + 1 : path;
  const int fd = MakeInRoot(child, dir, true);
  if (fd < 0) Die(child, step, path);
  return fd;
}

void MakeDevice(const Child& child, const WireDevice& d) {
  const char* path = child.plan->String(d.path);
  const char* name;
  const int dir = MakeParent(child, kStepDevice, path, &name);
  const mode_t mode = static_cast<mode_t>(d.mode & 07777);
  if (mknodat(dir, name, d.type | mode, makedev(d.major, d.minor)) != 0) {
    struct stat st;
    if (errno != EEXIST || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        (st.st_mode & S_IFMT) != d.type ||
        st.st_rdev != makedev(d.major, d.minor)) {
      Die(child, kStepDevice, path);
    }
  } else if ((d.uid != 0 || d.gid != 0) &&
             fchownat(dir, name, d.uid, d.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    Die(child, kStepDevice, path);
  }
  close(dir);
}

void AttachPrepared(const Child& child, int dir, const char* target) {
  const int tree = TakePrepared(child);
  if (move_mount(tree, "", dir, "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    Die(child, kStepKernelMount, target);
  }
  close(tree);
  close(dir);
}

}  // namespace

void MountKernelFilesystems(const Child& child) {
  const Plan& plan = *child.plan;
  for (const WireKernelMount m :
       plan.Array<WireKernelMount>(plan.header().kernel_mounts)) {
    const char* target = plan.String(m.target);
    // An image whose /proc is a link must not have it mounted elsewhere.
    int dir =
        OpenInRoot(child, target, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (dir < 0 && errno == ENOENT) {
      close(MakeInRoot(child, target, true));
      dir =
          OpenInRoot(child, target, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    }
    if (dir < 0) Die(child, kStepMountTarget, target);
    if (IsPrepared(plan, m)) {
      AttachPrepared(child, dir, target);
      continue;
    }
    // By the working directory: no path that somebody could exchange.
    const char* type = plan.String(m.type);
    // In the initial cgroup namespace the mount's options, here none, become
    // those of the one hierarchy: the host would lose nsdelegate.
    if (strcmp(type, "cgroup2") == 0 && !plan.Has(kFlagOwnCgroupNamespace)) {
      errno = EPERM;
      Die(child, kStepKernelMount, target);
    }
    if (fchdir(dir) != 0 ||
        mount(type, ".", type, m.flags, plan.String(m.data)) != 0) {
      Die(child, kStepKernelMount, target);
    }
    close(dir);
  }
  if (chdir("/") != 0) Die(child, kStepKernelMount, "/");
}

void MakeDevices(const Child& child) {
  const Plan& plan = *child.plan;
  for (const WireDevice d : plan.Array<WireDevice>(plan.header().devices)) {
    MakeDevice(child, d);
  }
  for (const WireSymlink s : plan.Array<WireSymlink>(plan.header().symlinks)) {
    const char* path = plan.String(s.path);
    const char* name;
    const int dir = MakeParent(child, kStepSymlink, path, &name);
    if (symlinkat(plan.String(s.target), dir, name) != 0 && errno != EEXIST) {
      Die(child, kStepSymlink, path);
    }
    close(dir);
  }
}

void FindNull(Child& child) {
  // Masked files are covered with it; a swapped one would unmask them.
  child.null_fd =
      OpenInRoot(child, "/dev/null", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
  struct stat st;
  if (child.null_fd >= 0 &&
      (fstat(child.null_fd, &st) != 0 || !S_ISCHR(st.st_mode) ||
       st.st_rdev != makedev(1, 3))) {
    close(child.null_fd);
    child.null_fd = -1;
  }
}

}  // namespace pinion::launch
