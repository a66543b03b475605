#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::launch {
namespace {

constexpr unsigned long kDevptsMagic = 0x1cd1;

// The multiplexer of the container's devpts. In a running container (exec)
// the path is the container's to forge, so the file system is checked.
int OpenMultiplexer(const Child& child) {
  const int fd = OpenInRoot(child, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0);
  if (fd < 0) Die(child, kStepConsole, "/dev/pts/ptmx");
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) Die(child, kStepConsole, "/dev/pts/ptmx");
  if (static_cast<unsigned long>(fs.f_type) != kDevptsMagic) {
    errno = ENODEV;
    Die(child, kStepConsole, "/dev/pts/ptmx");
  }
  return fd;
}

// /dev/console is the terminal, as programs that log there expect.
void BindConsole(const Child& child, int terminal) {
  const int target = MakeInRoot(child, "/dev/console", false);
  if (target < 0) Die(child, kStepConsole, "/dev/console");
  const int tree = open_tree(terminal, "",
                             static_cast<unsigned>(AT_EMPTY_PATH) |
                                 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) Die(child, kStepConsole, "/dev/console");
  if (move_mount(tree, "", target, "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    Die(child, kStepConsole, "/dev/console");
  }
  close(tree);
  close(target);
}

}  // namespace

void MakeTerminal(const Child& child) {
  const int multiplexer = OpenMultiplexer(child);
  const int unlock = 0;
  if (ioctl(multiplexer, TIOCSPTLCK, &unlock) != 0) {
    Die(child, kStepConsole, "TIOCSPTLCK");
  }
  // By descriptor: no path that somebody could exchange.
  const int terminal =
      ioctl(multiplexer, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) Die(child, kStepConsole, "TIOCGPTPEER");
  const WireHeader& header = child.plan->header();
  if (header.uid != 0 &&
      fchown(terminal, header.uid, static_cast<gid_t>(-1)) != 0) {
    Die(child, kStepConsole, "chown");
  }
  if (header.kind == static_cast<uint32_t>(Kind::kContainer)) {
    BindConsole(child, terminal);
  }
  if (ioctl(terminal, TIOCSCTTY, 0) != 0) {
    Die(child, kStepConsole, "TIOCSCTTY");
  }
  for (int i = 0; i < 3; ++i) {
    if (dup2(terminal, i) < 0) Die(child, kStepConsole, "dup2");
  }
  if (!SendFd(child.console_socket, multiplexer)) {
    Die(child, kStepConsole, "console socket");
  }
  close(terminal);
  close(multiplexer);
  close(child.console_socket);
}

}  // namespace pinion::launch
