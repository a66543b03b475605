#include "runtime/monitor/template.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/monitor/inherited.h"
#include "runtime/monitor/messages.h"

namespace pinion::monitor {
namespace {

// An id and descriptors; nothing longer is meant for a template.
constexpr size_t kCapacity = 512;

bool WaitFor(short events) {
  pollfd link = {kTemplateLinkFd, events, 0};
  while (poll(&link, 1, -1) < 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

// Where the number `fd` was, whatever it was, there is now `from`, which goes.
bool MoveFd(int from, int fd) {
  if (dup3(from, fd, O_CLOEXEC) < 0) return false;
  return close(from) == 0;
}

// monitor.sock of the pod's directory, in which this process is: a name of its
// own, as an address has room for 108 bytes. A copy is connected already; later
// daemons find it there.
bool Listen() {
  const int fd =
      socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, kSocketName, sizeof(kSocketName));
  // Nothing is unlinked: what is there is of a monitor that was started because
  // this copy came too late, and it must stay.
  umask(0177);
  return bind(fd, reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) == 0 &&
         listen(fd, kBacklog) == 0 && MoveFd(fd, kListenFd);
}

// In the copy: from a template to a monitor. On a failure it ends, and the
// daemon's connection to it with it.
void BecomeMonitor(const CloneMessage& request, char* name) {
  memcpy(name, request.id.data(), request.id.size());
  // A session of its own, as os/spawn gives to a monitor of its own.
  bool good = setsid() >= 0 && fchdir(request.pod_dir_fd) == 0 &&
              MoveFd(request.pod_dir_fd, kPodDirFd) && Listen();
  if (good) {
    const int log = open(
        kLogName, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    // Not close-on-exec: what it starts sets its own standard error.
    good = log >= 0 && dup2(log, STDERR_FILENO) >= 0 && close(log) == 0;
  }
  if (request.cgroup_fd >= 0) close(request.cgroup_fd);
  if (!good) _exit(1);
}

pid_t Clone(const CloneMessage& request) {
  clone_args arguments = {};
  // exit_signal stays 0: with CLONE_PARENT it is the template's own, SIGCHLD.
  arguments.flags = CLONE_PARENT;
  if (request.cgroup_fd >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(request.cgroup_fd);
  }
  return static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

void Answer(const ClonedMessage& cloned) {
  char buffer[kCapacity];
  MessageWriter message(buffer, sizeof(buffer),
                        static_cast<uint16_t>(MessageType::kCloned), 0);
  Put(&message, cloned);
  // Without it nobody would reap the copy.
  while (SendMessage(kTemplateLinkFd, message.Finish(), nullptr, 0) == EAGAIN) {
    if (!WaitFor(POLLOUT)) return;
  }
}

// True in the copy.
bool Serve(const CloneMessage& request, uint64_t sequence, size_t size) {
  ClonedMessage cloned;
  cloned.sequence = sequence;
  if (request.id.size() != size) {
    cloned.error = ENAMETOOLONG;
  } else {
    const pid_t pid = Clone(request);
    if (pid == 0) return true;
    if (pid < 0) cloned.error = errno;
    if (pid > 0) cloned.pid = pid;
  }
  Answer(cloned);
  return false;
}

}  // namespace

int ServeTemplate(char* name, size_t size) {
  while (WaitFor(POLLIN)) {
    char buffer[kCapacity];
    ReceivedFds fds;
    const int64_t received =
        ReceiveMessage(kTemplateLinkFd, buffer, sizeof(buffer), &fds);
    if (received == -EAGAIN) continue;
    MessageReader message;
    if (received <= 0 ||
        !message.Parse(buffer, static_cast<size_t>(received)) ||
        message.type() != static_cast<uint16_t>(MessageType::kClone)) {
      return -1;
    }
    CloneMessage request;
    const bool valid = Get(message, &fds, &request);
    if (!valid) {
      Answer({message.sequence(), 0, fds.cut() ? EMFILE : EINVAL});
    } else if (Serve(request, message.sequence(), size)) {
      BecomeMonitor(request, name);
      return request.link_fd;
    }
    for (const int fd :
         {request.pod_dir_fd, request.link_fd, request.cgroup_fd}) {
      if (fd >= 0) close(fd);
    }
  }
  return -1;
}

}  // namespace pinion::monitor
