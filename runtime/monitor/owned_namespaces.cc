#include "runtime/monitor/owned_namespaces.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/clone_in_user_namespace.h"

namespace pinion::monitor {
namespace {

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::string_view(text.data(), prefix.size()) == prefix;
}

// What the child says when it is done.
struct Answer {
  int error = 0;
  FixedText<64> what;
  FixedText<256> object;
};

Answer MakeNamespaces(const SandboxMessage& request,
                      const MessageReader& reader, int flags) {
  Answer answer;
  // Its uid and gid have a meaning in the namespace from here on.
  if (!launch::TakeRootOfUserNamespace()) {
    answer.error = errno;
    answer.what.Add("take root of");
    answer.object.Add("user namespace");
    return answer;
  }
  if (flags != 0 && unshare(flags) != 0) {
    answer.error = errno;
    answer.what.Add("unshare");
    answer.object.Add("pod namespaces");
    return answer;
  }
  size_t cursor = 0;
  std::string_view name;
  std::string_view value;
  while (NextSysctl(reader, &cursor, &name, &value)) {
    if (!IsIpcSysctl(name)) continue;
    answer.error = request.new_ipc ? WriteSysctl(name, value) : EPERM;
    if (answer.error == 0) continue;
    answer.what.Add("write sysctl");
    answer.object.Add(name);
    return answer;
  }
  return answer;
}

// The child that owns the namespaces until the monitor is in them.
class Owner {
 public:
  ~Owner() {
    // Its end of the socket tells it to go.
    if (socket_ >= 0) close(socket_);
    siginfo_t info = {};
    while (pidfd_ >= 0 &&
           waitid(P_PIDFD, static_cast<id_t>(pidfd_), &info, WEXITED) != 0 &&
           errno == EINTR) {
    }
    if (pidfd_ >= 0) close(pidfd_);
  }

  bool Start(const SandboxMessage& request, const MessageReader& reader,
             int flags) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      return false;
    }
    clone_args arguments = {};
    arguments.flags = CLONE_NEWUSER | CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<uintptr_t>(&pidfd_);
    arguments.exit_signal = SIGCHLD;
    pid_ =
        static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
    const int error = errno;
    if (pid_ == 0) {
      close(ends[0]);
      Run(request, reader, flags, ends[1]);
    }
    close(ends[1]);
    socket_ = ends[0];
    errno = error;
    return pid_ > 0;
  }

  bool WriteMap(const char* file, std::string_view map) {
    FixedText<64> path;
    path.Add("/proc/").AddNumber(pid_).Add("/").Add(file);
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool written = write(fd, map.data(), map.size()) >= 0;
    const int error = errno;
    close(fd);
    errno = error;
    return written;
  }

  int OpenUserNamespace() {
    FixedText<64> path;
    path.Add("/proc/").AddNumber(pid_).Add("/ns/user");
    return open(path.c_str(), O_RDONLY | O_CLOEXEC);
  }

  // The maps are written: it makes the rest. EPIPE: it was killed.
  bool Continue(Answer* answer) {
    const char go = 0;
    ssize_t n = send(socket_, &go, 1, MSG_NOSIGNAL);
    if (n < 0) return false;
    do {
      n = recv(socket_, answer, sizeof(*answer), 0);
    } while (n < 0 && errno == EINTR);
    if (n == static_cast<ssize_t>(sizeof(*answer))) return true;
    if (n >= 0) errno = EPIPE;
    return false;
  }

  int pidfd() const { return pidfd_; }

 private:
  [[noreturn]] static void Run(const SandboxMessage& request,
                               const MessageReader& reader, int flags,
                               int socket) {
    char byte;
    if (recv(socket, &byte, 1, 0) != 1) _exit(1);
    const Answer answer = MakeNamespaces(request, reader, flags);
    if (send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) < 0) _exit(1);
    // Until the monitor is in them.
    _exit(recv(socket, &byte, 1, 0) == 0 ? 0 : 1);
  }

  pid_t pid_ = -1;
  int pidfd_ = -1;
  int socket_ = -1;
};

}  // namespace

int WriteSysctl(std::string_view name, std::string_view value) {
  FixedText<256> path;
  for (const char c : name) {
    const char mapped = c == '.' ? '/' : c == '/' ? '.' : c;
    path.Add(std::string_view(&mapped, 1));
  }
  if (path.full()) return ENAMETOOLONG;
  const int root = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return errno;
  open_how how = {};
  how.flags = O_WRONLY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const int fd = static_cast<int>(
      syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how)));
  int error = fd < 0 ? errno : 0;
  close(root);
  if (fd < 0) return error;
  if (write(fd, value.data(), value.size()) < 0) error = errno;
  close(fd);
  return error;
}

bool IsIpcSysctl(std::string_view name) {
  return StartsWith(name, "fs.mqueue.") || StartsWith(name, "kernel.shm") ||
         StartsWith(name, "kernel.msg") || name == "kernel.sem";
}

bool EnterOwnedNamespaces(const SandboxMessage& request,
                          const MessageReader& reader, int flags,
                          int* user_namespace, Failed* failed) {
  Owner owner;
  if (!owner.Start(request, reader, flags)) {
    return failed->Set(errno, "clone3", "user namespace");
  }
  if (!owner.WriteMap("uid_map", request.uid_map)) {
    return failed->Set(errno, "write", "uid_map");
  }
  if (!owner.WriteMap("gid_map", request.gid_map)) {
    return failed->Set(errno, "write", "gid_map");
  }
  Answer answer;
  if (!owner.Continue(&answer)) {
    return failed->Set(errno, "set up", "user namespace");
  }
  if (answer.error != 0) {
    return failed->Set(answer.error, answer.what.view(), answer.object.view());
  }
  if (flags != 0 && setns(owner.pidfd(), flags) != 0) {
    return failed->Set(errno, "setns", "pod namespaces");
  }
  *user_namespace = owner.OpenUserNamespace();
  if (*user_namespace >= 0) return true;
  return failed->Set(errno, "open", "user namespace");
}

}  // namespace pinion::monitor
