#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::launch {
namespace {

// Attaches a detached mount at the working directory, and gives it up.
void AttachHere(const Child& child, int mount, const char* object) {
  if (move_mount(mount, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    Die(child, kStepRootfs, object);
  }
  close(mount);
}

void SetOption(const Child& child, int context, const char* key,
               const char* value) {
  if (fsconfig(context, FSCONFIG_SET_STRING, key, value, 0) != 0) {
    Die(child, kStepRootfs, value);
  }
}

// One string per layer: from kernel 6.5 on, for stacks whose names do not
// fit mount(2)'s page.
void MountPieceByPiece(const Child& child) {
  const Plan& plan = *child.plan;
  const WireHeader& h = plan.header();
  const char* base = plan.String(h.base_dir);
  const int context = fsopen("overlay", FSOPEN_CLOEXEC);
  if (context < 0) Die(child, kStepRootfs, base);
  SetOption(child, context, "redirect_dir", "nofollow");
  SetOption(child, context, "metacopy", "off");
  SetOption(child, context, "index", "off");
  for (const WireString lower : plan.Array<WireString>(h.lowers)) {
    const char* name = plan.String(lower);
    if (fsconfig(context, FSCONFIG_SET_STRING, "lowerdir+", name, 0) == 0) {
      continue;
    }
    // An older kernel does not know the option.
    if (errno == EINVAL) errno = E2BIG;
    Die(child, kStepRootfs, name);
  }
  if (h.upper.size > 0) {
    SetOption(child, context, "upperdir", plan.String(h.upper));
    SetOption(child, context, "workdir", plan.String(h.work));
    if (plan.Has(kFlagVolatileRootfs) &&
        fsconfig(context, FSCONFIG_SET_FLAG, "volatile", nullptr, 0) != 0) {
      Die(child, kStepRootfs, "volatile");
    }
  }
  if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    Die(child, kStepRootfs, base);
  }
  const int mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
  if (mount < 0) Die(child, kStepRootfs, base);
  close(context);
  AttachHere(child, mount, base);
}

// A single layer without a writable one: overlay wants two directories.
void BindOnlyLayer(const Child& child) {
  const char* lower = child.plan->String(
      child.plan->Array<WireString>(child.plan->header().lowers)[0]);
  const int tree =
      open_tree(AT_FDCWD, lower, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) Die(child, kStepRootfs, lower);
  struct mount_attr readonly = {};
  readonly.attr_set = MOUNT_ATTR_RDONLY;
  if (mount_setattr(tree, "", AT_EMPTY_PATH, &readonly, sizeof(readonly)) !=
      0) {
    Die(child, kStepRootfs, lower);
  }
  AttachHere(child, tree, lower);
}

}  // namespace

void MountRoot(const Child& child) {
  const Plan& plan = *child.plan;
  const WireHeader& h = plan.header();
  const char* base = plan.String(h.base_dir);
  // Layers' names are relative to it: short, for a page holds 4095 bytes.
  if (chdir(base) != 0) Die(child, kStepRootfs, base);
  OpenImageMounts(child);
  if (h.upper.size == 0 && h.lowers.count == 1) {
    BindOnlyLayer(child);
  } else if (h.overlay_data.size > 0) {
    if (mount("overlay", ".", "overlay", 0, plan.String(h.overlay_data)) != 0) {
      Die(child, kStepRootfs, base);
    }
  } else {
    MountPieceByPiece(child);
  }
  // "." is still the directory below the mount.
  if (chdir(base) != 0) Die(child, kStepRootfs, base);
}

void EnterRootfs(Child& child) {
  // CLONE_NEWCGROUP together with CLONE_INTO_CGROUP would root the namespace
  // at the parent's cgroup: copy_cgroup_ns looks at the caller's.
  if (child.plan->Has(kFlagOwnCgroupNamespace) &&
      unshare(CLONE_NEWCGROUP) != 0) {
    Die(child, kStepNamespaces, "unshare");
  }
  // Nothing done here comes back to the host; pivot_root wants that, too.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    Die(child, kStepPropagation, "/");
  }
  MountRoot(child);
  PivotRoot(child);
}

void PivotRoot(Child& child) {
  // pivot_root(2), "pivot_root(".", ".")": the old root comes to lie upon
  // the new one and is taken off. From here on every path is the
  // container's, and nothing of the host can be reached by one.
  if (syscall(SYS_pivot_root, ".", ".") != 0) Die(child, kStepPivot, "/");
  if (umount2(".", MNT_DETACH) != 0) Die(child, kStepPivot, "old root");
  if (chdir("/") != 0) Die(child, kStepPivot, "/");
  child.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (child.root_fd < 0) Die(child, kStepPivot, "/");
}

void EnterMountedRoot(Child& child) {
  // Until here the process was in the host's mount namespace, where it opened
  // what is to be mounted. This one has an empty tmpfs for a root, and its
  // copy costs the same whatever the host has mounted; nothing needs to be
  // unmounted, which would wait for an RCU grace period.
  if (setns(child.mount_namespace, CLONE_NEWNS) != 0) {
    Die(child, kStepNamespaces, "setns");
  }
  // For CLONE_NEWCGROUP see EnterRootfs.
  const bool cgroup = child.plan->Has(kFlagOwnCgroupNamespace);
  if (unshare(CLONE_NEWNS | (cgroup ? CLONE_NEWCGROUP : 0)) != 0) {
    Die(child, kStepNamespaces, "unshare");
  }
  // As an initramfs hands over: the root lies upon what is empty. Whoever
  // climbs out of the chroot comes to the same root again, for it is the
  // topmost mount there.
  if (move_mount(child.root_mount, "", AT_FDCWD, "/",
                 MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    Die(child, kStepRootfs, child.plan->String(child.plan->header().base_dir));
  }
  if (fchdir(child.root_mount) != 0 || chroot(".") != 0) {
    Die(child, kStepPivot, "/");
  }
  close(child.root_mount);
  close(child.mount_namespace);
  child.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (child.root_fd < 0) Die(child, kStepPivot, "/");
}

void FinishRootfs(const Child& child) {
  struct mount_attr attr = {};
  if (child.plan->Has(kFlagReadonlyRootfs)) attr.attr_set = MOUNT_ATTR_RDONLY;
  if (child.plan->header().root_propagation ==
      static_cast<uint32_t>(Propagation::kShared)) {
    attr.propagation = MS_SHARED;
  }
  if (attr.attr_set == 0 && attr.propagation == 0) return;
  if (mount_setattr(child.root_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) !=
      0) {
    Die(child, kStepReadonlyRootfs, "/");
  }
}

}  // namespace pinion::launch
