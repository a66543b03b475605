#include "runtime/monitor/client_spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/spawn.h"
#include "runtime/monitor/client_socket.h"
#include "runtime/monitor/inherited.h"

namespace pinion::monitor {
namespace {

void Reap(int pidfd) {
  siginfo_t info = {};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) != 0 &&
         errno == EINTR) {
  }
}

}  // namespace

void SpawnedMonitor::Kill() const {
  syscall(SYS_pidfd_send_signal, pidfd->get(), SIGKILL, nullptr, 0);
}

absl::Status ReapWhenEnded(const SpawnedMonitor& child, os::Reactor& reactor) {
  // Not the client's: the monitor may outlive it, and end while the daemon
  // still runs.
  return reactor.Add(child.pidfd->get(), EPOLLIN,
                     [&reactor, pidfd = child.pidfd](uint32_t) {
                       Reap(pidfd->get());
                       reactor.Remove(pidfd->get());
                     });
}

absl::StatusOr<SpawnedMonitor> SpawnMonitor(
    const MonitorClient::SpawnOptions& options, os::Reactor& reactor) {
  // Made here and inherited, so that it can be connected to at once.
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd listener,
                          ListenForMonitor(options.pod_dir_fd));
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd null,
                          os::OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  PINION_ASSIGN_OR_RETURN(
      const os::UniqueFd log,
      os::OpenAt(options.pod_dir_fd, kLogName,
                 O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));

  os::SpawnSpec spec;
  spec.path = absl::StrCat("/proc/self/fd/", kImageFd);
  spec.argv = {"pinion-monitor", options.pod_id};
  spec.new_session = true;
  spec.cgroup_fd = options.cgroup_fd;
  spec.fds.resize(kInheritedFds);
  spec.fds[0] = null.get();
  spec.fds[1] = null.get();
  spec.fds[2] = log.get();
  spec.fds[kListenFd] = listener.get();
  spec.fds[kPodDirFd] = options.pod_dir_fd;
  spec.fds[kImageFd] = options.image_fd;
  auto process = os::Spawn(spec);
  if (!process.ok()) return Annotate(process.status(), "start pod monitor");

  SpawnedMonitor spawned;
  spawned.pid = process->pid;
  spawned.pidfd = std::make_shared<os::UniqueFd>(std::move(process->pidfd));
  const absl::Status watched = ReapWhenEnded(spawned, reactor);
  if (!watched.ok()) {
    spawned.Kill();
    Reap(spawned.pidfd->get());
    return Annotate(watched, "watch pod monitor");
  }
  return spawned;
}

}  // namespace pinion::monitor
