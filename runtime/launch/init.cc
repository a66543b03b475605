#include "runtime/launch/init.h"

#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/tmpfs_root.h"

namespace pinion::launch {
namespace {

bool DropEverything() {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return false;
  if (setsid() < 0 && errno != EPERM) return false;  // it leads one already
  if (unshare(CLONE_NEWNS) != 0 ||
      EnterTmpfsRoot(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                     "mode=555,size=4k") != 0) {
    return false;
  }
  if (syscall(SYS_close_range, 0, ~0u, 0) != 0) return false;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const struct __user_cap_data_struct none[2] = {};
  return syscall(SYS_capset, &header, none) == 0;
}

}  // namespace

void RunPodInit() {
  // Ignoring SIGCHLD makes the kernel reap (wait(2), "NOTES"), also what is
  // inherited: not even a wake-up is needed. Signals without a handler do
  // not reach PID 1 from inside, and all are blocked besides.
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGCHLD, &ignore, nullptr);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  if (!DropEverything()) _exit(1);
  while (true) pause();
}

}  // namespace pinion::launch
