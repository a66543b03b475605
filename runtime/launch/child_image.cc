// Bind mounts whose source is an image: a read-only view of its layers.

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"

namespace pinion::launch {
namespace {

constexpr unsigned kClone =
    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | unsigned{AT_EMPTY_PATH};

// The path in the image that is asked for; links lead nowhere else.
int OpenBelow(int root, const char* path) {
  struct open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, root, path, &how, sizeof(how)));
}

// The overlay comes to lie upon the working directory, which goes with the
// host's tree; a single layer is taken as it is, for overlay wants two.
int OpenRoot(const Child& child, const WireMount& m) {
  const Plan& plan = *child.plan;
  const char* place = plan.String(m.source);
  if (m.overlay_data.size > 0) {
    place = plan.String(plan.header().base_dir);
    if (mount("overlay", ".", "overlay", MS_RDONLY,
              plan.String(m.overlay_data)) != 0) {
      return -1;
    }
  }
  return open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int OpenImage(const Child& child, const WireMount& m) {
  const char* sub_path = child.plan->String(m.sub_path);
  const int root = OpenRoot(child, m);
  const int from = root < 0 ? -1 : OpenBelow(root, sub_path);
  const int tree = from < 0 ? -1 : open_tree(from, "", kClone);
  struct mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                  MOUNT_ATTR_NOEXEC;
  attr.propagation = MS_PRIVATE;
  if (tree < 0 ||
      mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0) {
    Die(child, kStepImageMount, child.plan->String(m.target));
  }
  close(from);
  close(root);
  return tree;
}

}  // namespace

void OpenImageMounts(const Child& child) {
  const auto mounts = child.plan->Array<WireMount>(child.plan->header().mounts);
  for (uint32_t i = 0; i < mounts.size(); ++i) {
    const WireMount m = mounts[i];
    if ((m.flags & kMountImage) != 0) child.sources[i] = OpenImage(child, m);
  }
}

}  // namespace pinion::launch
