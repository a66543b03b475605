#include "runtime/launch/clone_in_user_namespace.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pinion::launch {
namespace {

// What the copy leaves for its parent, in memory they share. The kernel
// itself writes pid and pidfd, before the new process runs.
struct Shared {
  pid_t pid;
  int pidfd;
  int error;
};

// In the copy. Returns only in the process it clones.
void JoinAndClone(const UserNamespaceClone& request, Shared* shared) {
  const bool joined =
      (!request.set_oom_score_adj || SetOomScoreAdj(request.oom_score_adj)) &&
      (request.pid_namespace_fd < 0 ||
       setns(request.pid_namespace_fd, CLONE_NEWPID) == 0) &&
      setns(request.user_namespace_fd, CLONE_NEWUSER) == 0;
  if (!joined) {
    shared->error = errno;
    _exit(1);
  }
  struct clone_args args = {};
  // With CLONE_PARENT the signal at its end is that of this process.
  args.flags = request.flags | CLONE_PARENT | CLONE_PIDFD |
               CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<uintptr_t>(&shared->pidfd);
  args.parent_tid = reinterpret_cast<uintptr_t>(&shared->pid);
  if (request.cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(request.cgroup_fd);
  }
  const long pid = syscall(SYS_clone3, &args, sizeof(args));
  if (pid == 0) return;
  if (pid < 0) shared->error = errno;
  _exit(pid < 0 ? 1 : 0);
}

void Await(pid_t pid) {
  siginfo_t info = {};
  while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | __WALL) != 0 &&
         errno == EINTR) {
  }
}

}  // namespace

pid_t CloneInUserNamespace(const UserNamespaceClone& request, int* pidfd) {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -1;
  auto* shared = static_cast<Shared*>(memory);
  *shared = {-1, -1, 0};
  // It shares the descriptors, so that the pidfd comes to lie among ours.
  struct clone_args args = {};
  args.flags = CLONE_FILES | CLONE_CLEAR_SIGHAND;
  args.exit_signal = SIGCHLD;
  const long copy = syscall(SYS_clone3, &args, sizeof(args));
  int error = errno;
  if (copy == 0) {
    JoinAndClone(request, shared);
    munmap(memory, sizeof(Shared));
    return 0;
  }
  pid_t pid = -1;
  if (copy > 0) {
    Await(static_cast<pid_t>(copy));
    pid = shared->pid;
    *pidfd = shared->pidfd;
    // Killed before it could say why.
    error = shared->error != 0 ? shared->error : ECHILD;
  }
  munmap(memory, sizeof(Shared));
  if (pid < 0) errno = error;
  return pid;
}

bool TakeRootOfUserNamespace() {
  return syscall(SYS_setgroups, 0, nullptr) == 0 &&
         syscall(SYS_setresgid, 0, 0, 0) == 0 &&
         syscall(SYS_setresuid, 0, 0, 0) == 0;
}

bool SetOomScoreAdj(int value) {
  char buffer[16];
  char* text = buffer + sizeof(buffer);
  *--text = '\0';
  unsigned rest =
      value < 0 ? 0u - static_cast<unsigned>(value) : unsigned(value);
  do {
    *--text = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (value < 0) *--text = '-';
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text, strlen(text)) >= 0 || errno == EACCES;
  const int error = errno;
  close(fd);
  errno = error;
  return written;
}

}  // namespace pinion::launch
