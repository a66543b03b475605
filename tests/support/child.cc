#include "tests/support/child.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace pinion::testing_support {

Child::Child(const std::function<int()>& body, int cgroup) {
  clone_args args = {};
  args.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    args.flags = CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup);
  }
  const pid_t pid =
      static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof(args)));
  if (pid == 0) {
    // A test that crashes leaves nobody behind.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(body());
  }
  pid_ = pid;
}

Child Child::Sleeper(int cgroup) {
  return Child(
      [] {
        while (true) pause();
        return 0;
      },
      cgroup);
}

Child::~Child() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  Wait();
}

int Child::Wait() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace pinion::testing_support
