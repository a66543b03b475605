#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::launch {
namespace {

constexpr unsigned kCloneTree =
    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | unsigned{AT_RECURSIVE};

void SetAttributes(const Child& child, int tree, unsigned flags,
                   struct mount_attr attr, const char* object) {
  if (mount_setattr(tree, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr)) !=
      0) {
    Die(child, kStepMount, object);
  }
}

int CloneDetached(const Child& child, const char* target) {
  const int tree =
      open_tree(child.pod_shm_fd, "",
                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | unsigned{AT_EMPTY_PATH});
  if (tree < 0) Die(child, kStepPodShm, target);
  close(child.pod_shm_fd);
  return tree;
}

// The pod's /dev/shm is a detached mount or, before kernel 6.15, the root of a
// mount namespace of its own (MakePodShm). open_tree clones only from the
// caller's namespace: so into that and back.
int ClonePodShm(const Child& child, const char* target) {
  struct stat st;
  if (fstat(child.pod_shm_fd, &st) != 0) Die(child, kStepPodShm, target);
  if (S_ISDIR(st.st_mode)) return CloneDetached(child, target);
  const int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (own < 0) Die(child, kStepPodShm, "/proc/self/ns/mnt");
  if (setns(child.pod_shm_fd, CLONE_NEWNS) != 0) {
    Die(child, kStepPodShm, target);
  }
  const int tree =
      open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) Die(child, kStepPodShm, target);
  if (setns(own, CLONE_NEWNS) != 0) Die(child, kStepPodShm, target);
  close(own);
  close(child.pod_shm_fd);
  return tree;
}

int OpenSource(const Child& child, const WireMount& m) {
  if ((m.flags & kMountPodShm) != 0) {
    return ClonePodShm(child, child.plan->String(m.target));
  }
  const char* source = child.plan->String(m.source);
  const int tree = open_tree(AT_FDCWD, source, kCloneTree);
  if (tree < 0) Die(child, kStepMountSource, source);
  return tree;
}

// Attributes are in force before the tree can be seen by anybody.
void SetUp(const Child& child, int tree, const WireMount& m) {
  const char* source = child.plan->String(m.source);
  struct mount_attr attr = {};
  switch (static_cast<Propagation>(m.propagation)) {
    case Propagation::kPrivate:
      attr.propagation = MS_PRIVATE;
      break;
    case Propagation::kSlave:
      attr.propagation = MS_SLAVE;
      break;
    case Propagation::kShared:
      attr.propagation = MS_SHARED;
      break;
  }
  const bool recursive = (m.flags & kMountRecursiveReadonly) != 0;
  if (recursive) attr.attr_set = MOUNT_ATTR_RDONLY;
  SetAttributes(child, tree, AT_RECURSIVE, attr, source);
  if ((m.flags & kMountMappedIds) != 0 && !MapIds(child, tree, true) &&
      (errno != EINVAL || !MapIds(child, tree, false))) {
    Die(child, kStepMapIds, source);
  }
  struct mount_attr own = {};
  if ((m.flags & kMountReadonly) != 0) own.attr_set |= MOUNT_ATTR_RDONLY;
  if ((m.flags & kMountNoSuid) != 0) own.attr_set |= MOUNT_ATTR_NOSUID;
  if ((m.flags & kMountNoDev) != 0) own.attr_set |= MOUNT_ATTR_NODEV;
  if ((m.flags & kMountNoExec) != 0) own.attr_set |= MOUNT_ATTR_NOEXEC;
  if (own.attr_set != 0) SetAttributes(child, tree, 0, own, source);
}

}  // namespace

bool MapIds(const Child& child, int tree, bool recursive) {
  struct mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<uint64_t>(child.userns_fd);
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  return mount_setattr(tree, "", flags, &attr, sizeof(attr)) == 0;
}

void OpenMountSources(Child& child) {
  const auto mounts = child.plan->Array<WireMount>(child.plan->header().mounts);
  if (mounts.size() == 0) return;
  child.sources =
      static_cast<int*>(Scratch(child, mounts.size() * sizeof(int)));
  for (uint32_t i = 0; i < mounts.size(); ++i) {
    const WireMount m = mounts[i];
    // Those come with the rootfs.
    if ((m.flags & kMountImage) != 0) continue;
    child.sources[i] = OpenSource(child, m);
    SetUp(child, child.sources[i], m);
  }
}

void AttachMounts(const Child& child) {
  const auto mounts = child.plan->Array<WireMount>(child.plan->header().mounts);
  for (uint32_t i = 0; i < mounts.size(); ++i) {
    const char* target = child.plan->String(mounts[i].target);
    const int tree = child.sources[i];
    struct stat st;
    if (fstat(tree, &st) != 0) Die(child, kStepMountTarget, target);
    const int fd = MakeInRoot(child, target, S_ISDIR(st.st_mode));
    if (fd < 0) Die(child, kStepMountTarget, target);
    if (move_mount(tree, "", fd, "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
      // For a directory on a file, too, the kernel says EINVAL.
      struct stat there;
      const bool directory = S_ISDIR(st.st_mode);
      if (errno == EINVAL && fstat(fd, &there) == 0 &&
          S_ISDIR(there.st_mode) != directory) {
        errno = directory ? ENOTDIR : EISDIR;
      }
      Die(child, kStepMount, target);
    }
    close(fd);
    close(tree);
  }
}

}  // namespace pinion::launch
