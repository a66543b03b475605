#include "runtime/monitor/user_namespace_probe.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/monitor/owned_namespaces.h"

namespace pinion::monitor {
namespace {

constexpr unsigned kClone = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

}  // namespace

int ProbeUserNamespaces(const char* root) {
  SandboxMessage request;
  // Any that differs.
  request.uid_map = request.gid_map = "0 65536 65536\n";
  int user_namespace = -1;
  Failed failed;
  if (!EnterOwnedNamespaces(request, MessageReader(), 0, &user_namespace,
                            &failed)) {
    return failed.error;
  }
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return errno;
  }
  const int tree = open_tree(AT_FDCWD, root, kClone);
  if (tree < 0) return errno;
  mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<uint64_t>(user_namespace);
  if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0 ||
      move_mount(tree, "", AT_FDCWD, root, MOVE_MOUNT_F_EMPTY_PATH) != 0 ||
      chdir(root) != 0 ||
      mount("overlay", ".", "overlay", MS_RDONLY,
            "lowerdir=containers:mountpoints") != 0) {
    return errno;
  }
  return 0;
}

}  // namespace pinion::monitor
