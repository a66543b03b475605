#include "os/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
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
// until all have their default action. Not for AddressSanitizer: what it marks
// on the stack would stay marked in the caller.
[[noreturn]] __attribute__((noinline, no_sanitize("address"))) void ExecChild(
    ChildPlan* plan) {
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

int MillisecondsUntil(SteadyTime limit) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      limit - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
}

// False with errno; info->si_pid is 0 while the process runs (WNOHANG).
bool Reap(const SpawnedProcess& process, int flags, siginfo_t* info) {
  int result = 0;
  do {
    result = waitid(P_PIDFD, static_cast<id_t>(process.pidfd.get()), info,
                    WEXITED | flags);
  } while (result != 0 && errno == EINTR);
  return result == 0;
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
  process.new_session = spec.new_session;
  process.pidfd = UniqueFd(pidfd);  // Close-on-exec (clone(2)).
  if (plan.error != 0) {
    while (waitpid(process.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return ErrnoStatus(plan.error, absl::StrCat("spawn ", spec.path));
  }
  return process;
}

bool AwaitReadable(int fd, const SpawnedProcess& process, SteadyTime limit) {
  while (true) {
    pollfd polls[2] = {{fd, POLLIN, 0}, {process.pidfd.get(), POLLIN, 0}};
    const int ready = poll(polls, 2, MillisecondsUntil(limit));
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0) return polls[0].revents != 0;
    if (ready == 0 && std::chrono::steady_clock::now() >= limit) return false;
  }
}

absl::StatusOr<int> AwaitEnd(const SpawnedProcess& process, SteadyTime limit) {
  // A negative descriptor is never ready (poll(2)).
  AwaitReadable(-1, process, limit);
  siginfo_t info = {};
  if (!Reap(process, WNOHANG, &info)) return ErrnoStatus("waitid");
  if (info.si_pid == 0) {
    // The pid is its own until it is reaped.
    if (process.new_session) kill(-process.pid, SIGKILL);
    syscall(SYS_pidfd_send_signal, process.pidfd.get(), SIGKILL, nullptr, 0);
    if (!Reap(process, 0, &info)) return ErrnoStatus("waitid");
    return absl::DeadlineExceededError("it took too long and was killed");
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace pinion::os
