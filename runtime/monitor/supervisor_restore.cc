// Supervisor: containers that criu makes out of a checkpoint.
//
// criu is started like a container's process, and in its place. What it
// restores are its children; when it ends, the kernel gives them to the next
// subreaper, which is the monitor, and makes criu a zombie under one lock
// (exit_notify), and appends them to the monitor's children, so that wait(2)
// comes to criu first. So the first process, even one that has ended already,
// cannot be reaped before it is known.

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/process_start.h"
#include "runtime/monitor/supervisor.h"

namespace pinion::monitor {
namespace {

// The number in the file that criu has written; 0 with errno.
pid_t ReadPid(int dir) {
  const int fd =
      openat(dir, kRestoredPidFile, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[16] = {};
  const ssize_t size = read(fd, text, sizeof(text) - 1);
  close(fd);
  pid_t pid = 0;
  for (ssize_t i = 0; i < size && text[i] >= '0' && text[i] <= '9'; ++i) {
    if (pid > 100'000'000) break;
    pid = pid * 10 + (text[i] - '0');
  }
  if (pid <= 1) errno = EBADMSG;
  return pid > 1 ? pid : 0;
}

// Whether it is a child of ours, alive or to be reaped: only then does its
// number stay its own.
bool IsChild(pid_t pid) {
  siginfo_t info = {};
  return waitid(P_PID, static_cast<id_t>(pid), &info,
                WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

// What a criu that failed has left in the container's cgroup.
void KillCgroup(int cgroup) {
  const int fd = openat(cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t ignored = write(fd, "1", 1);
  close(fd);
}

}  // namespace

bool Supervisor::FinishRestore(Process* process, int code, int status) {
  const int dir = process->restore_dir_fd;
  process->restore_dir_fd = -1;
  if (process->failed.error == 0 && (code != CLD_EXITED || status != 0)) {
    process->failed.Set(ECANCELED, "restore", "criu failed");
  }
  pid_t pid = 0;
  int pidfd = -1;
  if (process->failed.error == 0) {
    pid = ReadPid(dir);
    if (pid == 0 || !IsChild(pid)) {
      process->failed.Set(pid == 0 ? errno : ECHILD, "restore",
                          "the container's process");
    } else {
      pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
      if (pidfd < 0) process->failed.Set(errno, "pidfd_open", "restored");
    }
  }
  if (dir >= 0) close(dir);
  if (process->failed.error != 0) {
    if (process->cgroup_fd >= 0) KillCgroup(process->cgroup_fd);
    return false;
  }
  if (process->pidfd >= 0) close(process->pidfd);
  process->pidfd = pidfd;
  process->pid = pid;
  process->start_ticks = launch::ProcessStartTicks(pid);
  OnStarted(process);
  return true;
}

// The daemon that asked is gone; the next one must not be told criu's pid for
// the container's.
void Supervisor::BreakOffRestores() {
  for (Process* process = table_.first(); process != nullptr;
       process = process->next) {
    if (process->restore_dir_fd >= 0 && process->pidfd >= 0 &&
        process->start_connection != link_->connection()) {
      syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, nullptr, 0);
    }
  }
}

}  // namespace pinion::monitor
