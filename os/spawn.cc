#include "os/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "os/error.h"

// os/vfork_clone3.S
extern "C" long PinionVforkClone3(clone_args* arguments, size_t size)
    __attribute__((returns_twice));

namespace pinion::os {
namespace {

// Null-terminated, as exec wants it; the strings stay the caller's.
std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) {
    pointers.push_back(const_cast<char*>(string.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

// All that the child needs, made before it exists.
struct ChildPlan {
  const char* path = nullptr;
  char* const* argv = nullptr;
  char* const* env = nullptr;
  const int* fds = nullptr;  // Above `count`; fds[i] becomes i.
  int count = 0;
  bool new_session = false;
  volatile int error = 0;  // Written by the child, in the caller's memory.
};

// In the child, which borrows the caller's memory, stack and errno: no heap,
// no locks. No handler of the caller's can run, as every signal is blocked
// until all have their default action.
[[noreturn]] __attribute__((noinline)) void ExecChild(ChildPlan* plan) {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) {
    sigaction(signal, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  bool ok = !plan->new_session || setsid() >= 0;
  for (int i = 0; ok && i < plan->count; ++i) ok = dup2(plan->fds[i], i) >= 0;
  ok = ok && syscall(SYS_close_range, plan->count, ~0U, 0) == 0;
  if (ok) execve(plan->path, plan->argv, plan->env);
  plan->error = errno;
  _exit(127);
}

// Returns once the child has executed its program or ended.
long VforkAndExec(clone_args* arguments, ChildPlan* plan) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const long pid = PinionVforkClone3(arguments, sizeof(*arguments));
  if (pid == 0) ExecChild(plan);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pid;
}

}  // namespace

absl::StatusOr<SpawnedProcess> Spawn(const SpawnSpec& spec) {
  // Copies above the numbers that are about to be given, so that no dup2
  // closes a descriptor that is still to be copied.
  const int count = static_cast<int>(spec.fds.size());
  std::vector<UniqueFd> copies;
  std::vector<int> fds;
  for (const int fd : spec.fds) {
    copies.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, count));
    if (!copies.back().valid()) {
      return ErrnoStatus(absl::StrCat("duplicate fd ", fd));
    }
    fds.push_back(copies.back().get());
  }
  const std::vector<char*> argv = Pointers(spec.argv);
  const std::vector<char*> env = Pointers(spec.env);
  ChildPlan plan;
  plan.path = spec.path.c_str();
  plan.argv = argv.data();
  plan.env = env.data();
  plan.fds = fds.data();
  plan.count = count;
  plan.new_session = spec.new_session;

  int pidfd = -1;
  clone_args arguments = {};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  if (spec.cgroup_fd >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(spec.cgroup_fd);
  }
  const long pid = VforkAndExec(&arguments, &plan);
  if (pid < 0) {
    return ErrnoStatus(static_cast<int>(-pid),
                       absl::StrCat("clone3 for ", spec.path));
  }
  SpawnedProcess process;
  process.pid = static_cast<pid_t>(pid);
  process.pidfd = UniqueFd(pidfd);  // Close-on-exec (clone(2)).
  if (plan.error != 0) {
    while (waitpid(process.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return ErrnoStatus(plan.error, absl::StrCat("spawn ", spec.path));
  }
  return process;
}

}  // namespace pinion::os
