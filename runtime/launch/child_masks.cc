#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"

namespace pinion::launch {
namespace {

constexpr unsigned kClone =
    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | unsigned{AT_EMPTY_PATH};

// Opens a path to be covered; -1 where there is nothing to cover.
int OpenExisting(const Child& child, Step step, const char* path) {
  const int fd = OpenInRoot(child, path, O_PATH, 0);
  if (fd < 0 && errno != ENOENT && errno != ENOTDIR) Die(child, step, path);
  return fd;
}

void Cover(const Child& child, Step step, int tree, int target,
           const char* path) {
  if (tree < 0 ||
      move_mount(tree, "", target, "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    Die(child, step, path);
  }
}

// An empty read-only directory, detached.
int MakeEmptyDir() {
  const int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  if (fsconfig(context, FSCONFIG_SET_FLAG, "ro", nullptr, 0) != 0 ||
      fsconfig(context, FSCONFIG_SET_STRING, "mode", "0555", 0) != 0 ||
      fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return -1;
  }
  const int mount = fsmount(context, FSMOUNT_CLOEXEC,
                            MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  close(context);
  return mount;
}

void MaskPaths(const Child& child) {
  const Plan& plan = *child.plan;
  // The first directory gets the mount itself, the others clones of it.
  int empty = -1;
  for (const WireString s :
       plan.Array<WireString>(plan.header().masked_paths)) {
    const char* path = plan.String(s);
    const int target = OpenExisting(child, kStepMaskedPath, path);
    if (target < 0) continue;
    struct stat st;
    if (fstat(target, &st) != 0) Die(child, kStepMaskedPath, path);
    int tree;
    bool keep = false;
    if (!S_ISDIR(st.st_mode)) {
      if (child.null_fd < 0) {
        errno = ENODEV;
        Die(child, kStepMaskedPath, "/dev/null");
      }
      tree = open_tree(child.null_fd, "", kClone);
    } else if (empty < 0) {
      tree = empty = MakeEmptyDir();
      keep = true;
    } else {
      tree = open_tree(empty, "", kClone);
    }
    Cover(child, kStepMaskedPath, tree, target, path);
    if (!keep) close(tree);
    close(target);
  }
  if (empty >= 0) close(empty);
}

void MakePathsReadonly(const Child& child) {
  const Plan& plan = *child.plan;
  struct mount_attr readonly = {};
  readonly.attr_set = MOUNT_ATTR_RDONLY;
  for (const WireString s :
       plan.Array<WireString>(plan.header().readonly_paths)) {
    const char* path = plan.String(s);
    const int target = OpenExisting(child, kStepReadonlyPath, path);
    if (target < 0) continue;
    const int tree = open_tree(target, "", kClone | unsigned{AT_RECURSIVE});
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE,
                                  &readonly, sizeof(readonly)) != 0) {
      Die(child, kStepReadonlyPath, path);
    }
    Cover(child, kStepReadonlyPath, tree, target, path);
    close(tree);
    close(target);
  }
}

}  // namespace

void HidePaths(const Child& child) {
  MakePathsReadonly(child);
  MaskPaths(child);
}

}  // namespace pinion::launch
