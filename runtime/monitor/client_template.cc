#include "runtime/monitor/client_template.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/spawn.h"
#include "runtime/monitor/inherited.h"
#include "runtime/monitor/messages.h"

namespace pinion::monitor {
namespace {

struct Ends {
  os::UniqueFd ours;
  os::UniqueFd theirs;
};

absl::StatusOr<Ends> SocketPair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                 fds) != 0) {
    return os::ErrnoStatus("socketpair for pod monitor");
  }
  return Ends{os::UniqueFd(fds[0]), os::UniqueFd(fds[1])};
}

// A copy is a child of ours that nobody has reaped, so its pid is its own.
void AdoptCopy(pid_t pid, os::Reactor& reactor) {
  SpawnedMonitor copy;
  copy.pid = pid;
  copy.pidfd = std::make_shared<os::UniqueFd>(
      static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  absl::Status status = copy.pidfd->valid()
                            ? ReapWhenEnded(copy, reactor)
                            : os::ErrnoStatus("pidfd_open of a pod monitor");
  if (status.ok()) return;
  // One that could not be reaped must not be: its pod falls back to another.
  Log(LogLevel::kWarning, "a pod monitor was not taken on",
      {{"error", status.ToString()}});
  kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

// What the reactor's callback needs, which may run while the template goes.
struct MonitorTemplate::Link {
  os::UniqueFd socket;
  std::function<void()> on_lost;
  std::atomic<uint64_t> last_sequence = 0;

  // False at the end of the connection.
  bool ReceiveOne(os::Reactor& reactor, bool* end);
};

bool MonitorTemplate::Link::ReceiveOne(os::Reactor& reactor, bool* end) {
  char buffer[512];
  ReceivedFds fds;
  const int64_t size =
      ReceiveMessage(socket.get(), buffer, sizeof(buffer), &fds);
  if (size == -EAGAIN) return false;
  // It died with something unread; what it had sent before is still there.
  if (size == -ECONNRESET) return true;
  MessageReader message;
  if (size <= 0 || !message.Parse(buffer, static_cast<size_t>(size))) {
    *end = true;
    return false;
  }
  if (message.type() != static_cast<uint16_t>(MessageType::kCloned)) {
    return true;
  }
  ClonedMessage cloned;
  Get(message, &cloned);
  if (cloned.pid > 0) {
    AdoptCopy(cloned.pid, reactor);
  } else {
    Log(LogLevel::kWarning, "no copy of the monitor's template",
        {{"error", os::ErrnoName(cloned.error)}});
  }
  return true;
}

absl::StatusOr<std::unique_ptr<MonitorTemplate>> MonitorTemplate::Create(
    int image_fd, os::Reactor& reactor, std::function<void()> on_lost) {
  PINION_ASSIGN_OR_RETURN(Ends ends, SocketPair());
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd null,
                          os::OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  std::string name = kTemplateName;
  name.resize(kIdLength, ' ');
  os::SpawnSpec spec;
  spec.path = absl::StrCat("/proc/self/fd/", kImageFd);
  spec.argv = {"pinion-monitor", name};
  spec.new_session = true;
  spec.fds.assign(kInheritedFds, null.get());
  spec.fds[kTemplateLinkFd] = ends.theirs.get();
  spec.fds[kImageFd] = image_fd;
  PINION_ASSIGN_OR_RETURN_AS(os::SpawnedProcess process, os::Spawn(spec),
                             "start the monitor's template");
  SpawnedMonitor spawned;
  spawned.pid = process.pid;
  spawned.pidfd = std::make_shared<os::UniqueFd>(std::move(process.pidfd));
  auto link = std::make_shared<Link>();
  link->socket = std::move(ends.ours);
  link->on_lost = std::move(on_lost);
  // From here on the destructor ends it.
  std::unique_ptr<MonitorTemplate> made(
      new MonitorTemplate(reactor, std::move(spawned), link));
  PINION_RETURN_IF_ERROR(ReapWhenEnded(made->process_, reactor));
  PINION_RETURN_IF_ERROR(
      reactor.Add(link->socket.get(), EPOLLIN, [link, &reactor](uint32_t) {
        bool end = false;
        while (link->ReceiveOne(reactor, &end)) {
        }
        if (!end) return;
        reactor.Remove(link->socket.get());
        link->on_lost();
      }));
  return made;
}

MonitorTemplate::~MonitorTemplate() {
  // A request that is still on its way to it is served, or its copy's
  // connection hangs up.
  reactor_.Remove(link_->socket.get());
  shutdown(link_->socket.get(), SHUT_RDWR);
}

absl::StatusOr<os::UniqueFd> MonitorTemplate::Clone(
    const MonitorClient::SpawnOptions& options) {
  if (options.pod_id.size() != kIdLength) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", options.pod_id, "\" is no pod id"));
  }
  PINION_ASSIGN_OR_RETURN(Ends ends, SocketPair());
  char buffer[512];
  MessageWriter message(buffer, sizeof(buffer),
                        static_cast<uint16_t>(MessageType::kClone),
                        ++link_->last_sequence);
  Put(&message, CloneMessage{options.pod_id, options.pod_dir_fd,
                             ends.theirs.get(), options.cgroup_fd});
  const std::string_view bytes = message.Finish();
  const int error = SendMessage(link_->socket.get(), bytes, message.fds(),
                                message.fd_count());
  if (error == EAGAIN || error == EPIPE || error == ECONNRESET) {
    return absl::UnavailableError(
        absl::StrCat("ask the monitor's template: ", os::ErrnoName(error)));
  }
  if (error != 0) {
    return os::ErrnoStatus(error, "ask the monitor's template");
  }
  return std::move(ends.ours);
}

}  // namespace pinion::monitor
