#include "runtime/monitor/pod_namespaces.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/clone_in_user_namespace.h"
#include "runtime/launch/pod_shm.h"
#include "runtime/monitor/inherited.h"
#include "runtime/monitor/owned_namespaces.h"

namespace pinion::monitor {
namespace {

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::string_view(text.data(), prefix.size()) == prefix;
}

// Only what belongs to a namespace that the pod has of its own. The daemon has
// checked this; a sysctl of the whole node must not depend on one check.
bool IsPodSysctl(std::string_view name, const SandboxMessage& request) {
  if (StartsWith(name, "net.")) return request.new_network;
  if (IsIpcSysctl(name)) return request.new_ipc;
  if (name == "kernel.domainname" || name == "kernel.hostname") {
    return request.new_uts;
  }
  return false;
}

// Runs in the new PID namespace, a copy of this single-threaded process. Every
// descriptor that is not set here is close-on-exec.
[[noreturn]] void ExecInit(int ready_fd) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(ready_fd, STDOUT_FILENO);
  dup2(STDIN_FILENO, STDERR_FILENO);
  char name[] = "pinion-init";
  char option[] = "--init";
  char* const argv[] = {name, option, nullptr};
  char* const environment[] = {nullptr};
  // The sealed memfd, whatever the mount namespace shows.
  execve("/proc/self/exe", argv, environment);
  _exit(127);
}

// Until the init has closed its descriptors, as it does once it has given up
// the host's mounts (launch/init.h), or has died (then its end is reported).
void WaitUntilReady(int fd) {
  constexpr int kTimeoutMs = 2000;
  pollfd end = {fd, 0, 0};
  while (poll(&end, 1, kTimeoutMs) < 0 && errno == EINTR) {
  }
}

}  // namespace

bool Failed::Set(int number, std::string_view step, std::string_view name) {
  error = number;
  what.Clear();
  object.Clear();
  what.Add(step);
  object.Add(name);
  return false;
}

bool PodNamespaces::SetUp(const SandboxMessage& request,
                          const MessageReader& reader, int* route_socket,
                          Failed* failed) {
  if (done_) return failed->Set(EALREADY, "set up sandbox", "twice");
  done_ = true;
  const bool given = request.new_network && request.netns_fd >= 0;
  const int flags = (request.new_network && !given ? CLONE_NEWNET : 0) |
                    (request.new_ipc ? CLONE_NEWIPC : 0) |
                    (request.new_uts ? CLONE_NEWUTS : 0);
  const bool mapped = !request.uid_map.empty();
  if (mapped) {
    if (!EnterOwnedNamespaces(request, reader, flags, &userns_fd_, failed)) {
      return false;
    }
  } else if (flags != 0 && unshare(flags) != 0) {
    return failed->Set(errno, "unshare", "pod namespaces");
  }
  if (given && !EnterNetwork(request.netns_fd, failed)) return false;
  if (request.new_network && !given && !OpenNetwork(route_socket, failed)) {
    return false;
  }
  if (request.new_uts && !request.hostname.empty() &&
      sethostname(request.hostname.data(), request.hostname.size()) != 0) {
    return failed->Set(errno, "sethostname", request.hostname);
  }
  if (request.shm_bytes != 0) {
    shm_fd_ = launch::MakePodShm(request.shm_bytes);
    if (shm_fd_ < 0) return failed->Set(errno, "mount tmpfs for", "/dev/shm");
  }
  size_t cursor = 0;
  std::string_view name;
  std::string_view value;
  while (NextSysctl(reader, &cursor, &name, &value)) {
    // Written from inside the user namespace already.
    if (mapped && IsIpcSysctl(name)) continue;
    const int error =
        IsPodSysctl(name, request) ? WriteSysctl(name, value) : EPERM;
    if (error != 0) {
      failed->Set(error, "write sysctl", name);
      failed->object.Add(" = \"").Add(value).Add("\"");
      return false;
    }
  }
  return !request.shared_pid || StartInit(failed);
}

bool PodNamespaces::EnterNetwork(int netns, Failed* failed) {
  if (setns(netns, CLONE_NEWNET) != 0) {
    return failed->Set(errno, "setns", "network namespace");
  }
  if (dup3(netns, kNetnsFd, O_CLOEXEC) < 0) {
    return failed->Set(errno, "dup3", "network namespace");
  }
  has_network_ = true;
  return true;
}

bool PodNamespaces::OpenNetwork(int* route_socket, Failed* failed) {
  const int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (netns < 0) return failed->Set(errno, "open", "/proc/self/ns/net");
  if (dup3(netns, kNetnsFd, O_CLOEXEC) < 0) {
    const int error = errno;
    close(netns);
    return failed->Set(error, "dup3", "network namespace");
  }
  close(netns);
  has_network_ = true;
  *route_socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (*route_socket < 0) return failed->Set(errno, "socket", "netlink route");
  return true;
}

pid_t PodNamespaces::CloneInit() {
  if (userns_fd_ >= 0) {
    launch::UserNamespaceClone request;
    request.user_namespace_fd = userns_fd_;
    request.flags = CLONE_NEWPID;
    int pidfd = -1;
    const pid_t pid = launch::CloneInUserNamespace(request, &pidfd);
    // Or it would lose its capabilities with the exec.
    if (pid == 0 && !launch::TakeRootOfUserNamespace()) _exit(127);
    // It is followed by its pid: the monitor is its parent.
    if (pid > 0) close(pidfd);
    return pid;
  }
  clone_args arguments = {};
  arguments.flags = CLONE_NEWPID;
  arguments.exit_signal = SIGCHLD;
  return static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

bool PodNamespaces::StartInit(Failed* failed) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) {
    return failed->Set(errno, "pipe2", "pod init");
  }
  const pid_t pid = CloneInit();
  const int error = errno;
  if (pid == 0) ExecInit(ready[1]);
  close(ready[1]);
  if (pid > 0) WaitUntilReady(ready[0]);
  close(ready[0]);
  if (pid < 0) return failed->Set(error, "clone3", "pod init");
  init_pid_ = pid;
  FixedText<64> path;
  path.Add("/proc/").AddNumber(pid).Add("/ns/pid");
  pidns_fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (pidns_fd_ < 0) return failed->Set(errno, "open", path.view());
  return true;
}

}  // namespace pinion::monitor
