// The preparer: what needs the host's powers in the start of a container
// with a user namespace. The container's own process is born without them
// (clone_in_user_namespace.h) and receives detached mounts from here:
//
//   the rootfs    an overlay whose layers are mounted with mapped ids
//   /dev          a tmpfs of the host's with the device nodes: those of one
//                 that is mounted in a user namespace cannot be opened
//   /sys          the host's, with kFlagHostSysfs
//   bind mounts   in the plan's order
//
// It ends when it has sent the last, or with a report.

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"

namespace pinion::launch {
namespace {

constexpr unsigned kClone = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

void Give(const Child& child, int fd, const char* object) {
  // EPIPE: the container's process has ended, and has said why.
  if (!SendFd(child.transfer_fd, fd)) {
    if (errno == EPIPE || errno == ECONNRESET) _exit(0);
    Die(child, kStepPrepare, object);
  }
  close(fd);
}

// Lays a mount with mapped ids over the directory of layers and writable
// layers, in this process's mount namespace: the overlay's names remain as
// they are, and what it writes is stored with the ids that the container sees.
void MapBase(const Child& child) {
  const char* base = child.plan->String(child.plan->header().base_dir);
  const int tree = open_tree(AT_FDCWD, base, kClone);
  if (tree < 0 || !MapIds(child, tree, false) ||
      move_mount(tree, "", AT_FDCWD, base, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    Die(child, kStepMapIds, base);
  }
  close(tree);
}

// The kernel creates overlay's own files, and checks every access to a layer,
// with the ids of the process that mounts it: only mapped ones can be stored.
// Leaving 0 takes the capabilities about files away; they are needed.
void TakeFileIds(const Child& child, uid_t uid, gid_t gid) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {};
  syscall(SYS_setfsgid, gid);
  syscall(SYS_setfsuid, uid);
  if (syscall(SYS_capget, &header, data) != 0) {
    Die(child, kStepPrepare, "capget");
  }
  for (auto& half : data) half.effective = half.permitted;
  if (syscall(SYS_capset, &header, data) != 0) {
    Die(child, kStepPrepare, "capset");
  }
}

int PrepareRoot(const Child& child) {
  const WireHeader& h = child.plan->header();
  MapBase(child);
  TakeFileIds(child, h.host_root_uid, h.host_root_gid);
  MountRoot(child);
  const int tree = open_tree(AT_FDCWD, ".", kClone);
  if (tree < 0) Die(child, kStepRootfs, "/");
  return tree;
}

int PrepareDev(Child& child, const WireKernelMount& m) {
  const WireHeader& h = child.plan->header();
  const char* base = child.plan->String(h.base_dir);
  if (mount("tmpfs", ".", "tmpfs", m.flags, child.plan->String(m.data)) != 0 ||
      chdir(base) != 0) {
    Die(child, kStepKernelMount, "/dev");
  }
  // A directory in it, so that the nodes' paths are those of the container.
  child.root_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (child.root_fd < 0 || mkdirat(child.root_fd, "dev", 0755) != 0) {
    Die(child, kStepKernelMount, "/dev");
  }
  // The nodes keep the owners they have on the host: what only the host's
  // root may open is not for the container's.
  TakeFileIds(child, 0, 0);
  MakeDevices(child);
  const int tree = open_tree(child.root_fd, "dev", kClone);
  if (tree < 0) Die(child, kStepKernelMount, "/dev");
  return tree;
}

int PrepareSys(const Child& child, const WireKernelMount& m) {
  struct mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  if ((m.flags & MS_RDONLY) != 0) attr.attr_set |= MOUNT_ATTR_RDONLY;
  const int tree = open_tree(AT_FDCWD, "/sys", kClone);
  if (tree < 0 ||
      mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0) {
    Die(child, kStepKernelMount, "/sys");
  }
  return tree;
}

}  // namespace

void RunPreparer(Child& child) {
  const Plan& plan = *child.plan;
  umask(0);
  TakeDescriptors(child);
  OwnStdio(child);
  OpenMountSources(child);
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    Die(child, kStepPropagation, "/");
  }
  Give(child, PrepareRoot(child), "/");
  for (const WireKernelMount m :
       plan.Array<WireKernelMount>(plan.header().kernel_mounts)) {
    if (!IsPrepared(plan, m)) continue;
    const bool dev = strcmp(plan.String(m.type), "tmpfs") == 0;
    Give(child, dev ? PrepareDev(child, m) : PrepareSys(child, m),
         plan.String(m.target));
  }
  const auto mounts = plan.Array<WireMount>(plan.header().mounts);
  for (uint32_t i = 0; i < mounts.size(); ++i) {
    Give(child, child.sources[i], plan.String(mounts[i].target));
  }
  _exit(0);
}

bool IsPrepared(const Plan& plan, const WireKernelMount& m) {
  if (!plan.HasUserNamespace()) return false;
  const char* type = plan.String(m.type);
  if (strcmp(type, "sysfs") == 0) return plan.Has(kFlagHostSysfs);
  return strcmp(type, "tmpfs") == 0 &&
         strcmp(plan.String(m.target), "/dev") == 0;
}

}  // namespace pinion::launch
