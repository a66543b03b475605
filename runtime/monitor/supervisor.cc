// Supervisor: what the daemon asks of a process that exists.

#include "runtime/monitor/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/monitor/exit_record.h"

namespace pinion::monitor {
namespace {

// An exec with everything it started: all that is in its cgroup (cgroup.kill
// is there from Linux 5.14 on).
void KillTree(const Process& process) {
  const int kill_fd =
      process.cgroup_fd < 0
          ? -1
          : openat(process.cgroup_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
  const bool killed = kill_fd >= 0 && write(kill_fd, "1", 1) == 1;
  if (kill_fd >= 0) close(kill_fd);
  if (!killed && process.pidfd >= 0) {
    syscall(SYS_pidfd_send_signal, process.pidfd, SIGKILL, nullptr, 0);
  }
}

}  // namespace

int Supervisor::Signal(std::string_view id, int signal) {
  const Process* process = table_.Find(id);
  if (process == nullptr) return ENOENT;
  if (process->state == ProcessState::kEnded || process->pidfd < 0) return 0;
  // Through the pidfd: never a process that was given the number anew.
  if (syscall(SYS_pidfd_send_signal, process->pidfd, signal, nullptr, 0) == 0 ||
      errno == ESRCH) {
    return 0;
  }
  return errno;
}

int Supervisor::ReopenLog(std::string_view id) {
  Process* process = table_.Find(id);
  if (process == nullptr) return ENOENT;
  return process->log.Reopen();
}

int Supervisor::Forget(std::string_view id) {
  Process* process = table_.Find(id);
  if (process != nullptr) {
    if (process->state != ProcessState::kEnded) return EBUSY;
    process->out.Close();
    process->err.Close();
    process->audience.CloseAll();
    CloseDescriptors(process);
    table_.Free(process);
  }
  FixedText<kMaxId + 16> path;
  path.Add(kExitsDir).Add("/").Add(id);
  return unlinkat(pod_dir_, path.c_str(), 0) != 0 && errno != ENOENT ? errno
                                                                     : 0;
}

void Supervisor::KillAll() {
  for (const Process* process = table_.first(); process != nullptr;
       process = process->next) {
    if (process->state == ProcessState::kEnded) continue;
    if (process->pidfd >= 0) {
      syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, nullptr, 0);
    } else if (process->pid > 0) {
      kill(process->pid, SIGKILL);  // Our child, not reaped: still its number.
    }
  }
}

void Supervisor::EndExecsOfLostDaemons() {
  const uint64_t now = link_->connection();
  if (now == served_) return;
  served_ = now;
  for (const Process* process = table_.first(); process != nullptr;
       process = process->next) {
    if (process->kind == ProcessKind::kExec && process->connection != now &&
        process->state != ProcessState::kEnded) {
      KillTree(*process);
    }
  }
}

bool Supervisor::has_live_process() const {
  for (const Process* process = table_.first(); process != nullptr;
       process = process->next) {
    if (process->state != ProcessState::kEnded) return true;
  }
  return false;
}

void Supervisor::CloseStreams() {
  for (Process* process = table_.first(); process != nullptr;
       process = process->next) {
    process->out.Drain();
    process->err.Drain();
    process->out.Close();
    process->err.Close();
  }
}

}  // namespace pinion::monitor
