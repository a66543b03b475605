#include "runtime/launch/launch.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "runtime/launch/child.h"
#include "runtime/launch/clone_in_user_namespace.h"
#include "runtime/launch/launch_spec.h"
#include "runtime/launch/plan.h"
#include "runtime/launch/process_start.h"

namespace pinion::launch {
namespace {

// With these in `required` the process mounts its root itself: what is asked
// of the mounts is not in one made ahead.
constexpr uint32_t kOwnRoot = kRequiresUserNamespace | kRequiresImageMounts;

// Closes at the end of a scope; os/ is not for the monitor.
class Fd {
 public:
  Fd() = default;
  ~Fd() { Reset(-1); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;

  int get() const { return fd_; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd) {
    const int error = errno;
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
    errno = error;
  }
  // Where the child puts stdio it must not lie.
  bool MoveUp() {
    if (fd_ < 0 || fd_ > 2) return fd_ >= 0;
    Reset(fcntl(fd_, F_DUPFD_CLOEXEC, 3));
    return fd_ >= 0;
  }

 private:
  int fd_ = -1;
};

int Fail(Failure* failure, Step step, const char* object) {
  *failure = {};
  failure->error = errno;
  failure->step = step;
  strncpy(failure->object, object, sizeof(failure->object) - 1);
  return -1;
}

struct Channels {
  Fd report_read, report_write;
  Fd console, console_child;
};

bool MakeChannels(bool terminal, Channels* channels) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  channels->report_read.Reset(ends[0]);
  channels->report_write.Reset(ends[1]);
  if (!channels->report_write.MoveUp()) return false;
  if (!terminal) return true;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return false;
  }
  channels->console.Reset(ends[0]);
  channels->console_child.Reset(ends[1]);
  return channels->console_child.MoveUp();
}

// A pidfd of the plan's target that is certainly the process meant: it was
// there, with its start time, after the pidfd was opened.
bool OpenTarget(const WireHeader& header, Fd* pidfd) {
  pidfd->Reset(static_cast<int>(syscall(SYS_pidfd_open, header.target_pid, 0)));
  if (!pidfd->MoveUp()) return false;
  const uint64_t ticks = ProcessStartTicks(header.target_pid);
  if (ticks != 0 && ticks == header.target_start_ticks) return true;
  errno = ESRCH;
  return false;
}

bool IsOwnChild(const WireHeader& header, const LaunchFds& fds) {
  return fds.own_child_pidfd > 2 && fds.own_child > 0 &&
         header.target_pid == fds.own_child && header.target_start_ticks != 0 &&
         header.target_start_ticks == fds.own_child_start_ticks;
}

bool NeedsTarget(const WireHeader& header) {
  return header.kind == static_cast<uint32_t>(Kind::kExec) ||
         header.pid_namespace == static_cast<uint32_t>(PidNamespace::kTarget);
}

// The PID namespace of the children to come, and back again at the end.
class ChildrensPidNamespace {
 public:
  ~ChildrensPidNamespace() {
    // Every later child would be born in the container otherwise.
    if (own_.get() >= 0 && setns(own_.get(), CLONE_NEWPID) != 0) abort();
  }

  // `fd`: a PID namespace or a pidfd.
  bool Join(int fd) {
    own_.Reset(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    if (own_.get() < 0) return false;
    if (setns(fd, CLONE_NEWPID) == 0) return true;
    own_.Reset(-1);
    return false;
  }

 private:
  Fd own_;
};

struct CloneResult {
  long pid = -1;
  int pidfd = -1;
};

// Whose PID namespace, if not its own or the caller's, the process is to be
// in: `target`, a pidfd, or the pod's. -1: none.
int JoinedPidNamespace(const WireHeader& header, const LaunchFds& fds,
                       int target) {
  if (NeedsTarget(header)) return target;
  if (header.pid_namespace == static_cast<uint32_t>(PidNamespace::kPod)) {
    return fds.pod_pidns_fd;
  }
  return -1;
}

bool JoinsPidNamespace(const WireHeader& header) {
  return NeedsTarget(header) ||
         header.pid_namespace == static_cast<uint32_t>(PidNamespace::kPod);
}

// A child with a root that is mounted already makes its mount namespace by
// itself, out of a smaller one than the caller's.
CloneResult Clone(const WireHeader& header, int cgroup_fd, bool has_root) {
  CloneResult result;
  struct clone_args args = {};
  args.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<uintptr_t>(&result.pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup_fd);
  }
  if (header.kind == static_cast<uint32_t>(Kind::kContainer)) {
    if (!has_root) args.flags |= CLONE_NEWNS;
    if (header.pid_namespace == static_cast<uint32_t>(PidNamespace::kOwn)) {
      args.flags |= CLONE_NEWPID;
    }
  }
  result.pid = syscall(SYS_clone3, &args, sizeof(args));
  return result;
}

bool IsMappedContainer(const Plan& plan) {
  return plan.HasUserNamespace() &&
         plan.header().kind == static_cast<uint32_t>(Kind::kContainer);
}

// A container's process in the pod's user namespace.
CloneResult CloneMapped(const Plan& plan, const LaunchFds& fds, int join) {
  const WireHeader& header = plan.header();
  UserNamespaceClone request;
  request.user_namespace_fd = fds.pod_userns_fd;
  request.pid_namespace_fd = join;
  request.cgroup_fd = fds.cgroup_fd;
  request.flags = CLONE_NEWNS;
  if (header.pid_namespace == static_cast<uint32_t>(PidNamespace::kOwn)) {
    request.flags |= CLONE_NEWPID;
  }
  request.set_oom_score_adj = plan.Has(kFlagSetOomScoreAdj);
  request.oom_score_adj = header.oom_score_adj;
  CloneResult result;
  result.pid = CloneInUserNamespace(request, &result.pidfd);
  return result;
}

// The preparer beside it, in the same cgroup; reaped as an orphan would be.
bool StartPreparer(Child child, const LaunchFds& fds, int socket) {
  struct clone_args args = {};
  args.flags = CLONE_NEWNS | CLONE_CLEAR_SIGHAND;
  args.exit_signal = SIGCHLD;
  if (fds.cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(fds.cgroup_fd);
  }
  const long pid = syscall(SYS_clone3, &args, sizeof(args));
  if (pid == 0) {
    child.console_socket = -1;
    child.target_pidfd = -1;
    child.transfer_fd = socket;
    child.userns_fd = fds.pod_userns_fd;
    RunPreparer(child);
  }
  return pid > 0;
}

// Ends a process that will not be started after all.
void Discard(const CloneResult& clone) {
  syscall(SYS_pidfd_send_signal, clone.pidfd, SIGKILL, nullptr, 0);
  siginfo_t info = {};
  while (waitid(P_PIDFD, static_cast<id_t>(clone.pidfd), &info,
                WEXITED | __WALL) != 0 &&
         errno == EINTR) {
  }
  close(clone.pidfd);
}

// Both processes of a container in a user namespace. On an error errno is
// set, neither runs, and *step says what could not be done.
CloneResult StartMapped(const Child& child, const LaunchFds& fds, int join,
                        Step* step) {
  CloneResult clone;
  int ends[2];
  *step = kStepChannels;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return clone;
  }
  Fd preparer, container;
  preparer.Reset(ends[0]);
  container.Reset(ends[1]);
  if (!preparer.MoveUp() || !container.MoveUp()) return clone;
  *step = kStepUserNamespace;
  clone = CloneMapped(*child.plan, fds, join);
  if (clone.pid == 0) {
    Child mapped = child;
    mapped.transfer_fd = container.get();
    mapped.pod_shm_fd = -1;
    RunChild(mapped);
  }
  *step = kStepClone;
  if (clone.pid > 0 && !StartPreparer(child, fds, preparer.get())) {
    const int error = errno;
    Discard(clone);
    clone.pid = -1;
    errno = error;
  }
  return clone;
}

}  // namespace

int Launch(const void* bytes, size_t size, const LaunchFds& fds,
           Launched* launched, Failure* failure) {
  Plan plan;
  if (!plan.Parse(bytes, size)) {
    errno = EBADMSG;
    return Fail(failure, kStepPlan, "plan");
  }
  const WireHeader& header = plan.header();

  // The child puts stdio there; every program has its own open anyway.
  for (const int fd : {fds.pod_shm_fd, fds.root_fd, fds.mount_namespace_fd}) {
    if (fd < 0 || fd > 2) continue;
    errno = EBADF;
    return Fail(failure, kStepChannels, "a descriptor for the child");
  }
  const bool has_root = fds.root_fd >= 0 && fds.mount_namespace_fd >= 0 &&
                        (header.required & kOwnRoot) == 0;
  if (IsMappedContainer(plan) && fds.pod_userns_fd < 3) {
    errno = EBADF;
    return Fail(failure, kStepUserNamespace, "pod_userns_fd");
  }
  // Inherited: nobody in the container's PID namespace can ptrace the child
  // or open its descriptors before it has exec'ed (CVE-2016-9962).
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return Fail(failure, kStepChannels, "PR_SET_DUMPABLE");
  }
  Channels channels;
  if (!MakeChannels(plan.Has(kFlagTerminal), &channels)) {
    return Fail(failure, kStepChannels, "pipe");
  }
  Fd opened;
  int target = -1;
  if (NeedsTarget(header)) {
    if (!IsOwnChild(header, fds) && !OpenTarget(header, &opened)) {
      return Fail(failure, kStepTarget, "pid");
    }
    target = opened.get() >= 0 ? opened.get() : fds.own_child_pidfd;
  }

  const int join = JoinedPidNamespace(header, fds, target);
  if (JoinsPidNamespace(header) && join < 0) {
    errno = EBADF;
    return Fail(failure, kStepPidNamespace, "setns");
  }
  Child child;
  child.plan = &plan;
  child.report_fd = channels.report_write.get();
  child.console_socket = channels.console_child.get();
  child.target_pidfd = target;
  child.pod_shm_fd = fds.pod_shm_fd;
  if (has_root) {
    child.root_mount = fds.root_fd;
    child.mount_namespace = fds.mount_namespace_fd;
  }
  child.stdio[0] = fds.stdin_fd;
  child.stdio[1] = fds.stdout_fd;
  child.stdio[2] = fds.stderr_fd;
  CloneResult clone;
  if (IsMappedContainer(plan)) {
    Step step = kStepNone;
    clone = StartMapped(child, fds, join, &step);
    if (clone.pid < 0) return Fail(failure, step, "pod's user namespace");
  } else {
    ChildrensPidNamespace pid_namespace;
    if (join >= 0 && !pid_namespace.Join(join)) {
      return Fail(failure, kStepPidNamespace, "setns");
    }
    clone = Clone(header, fds.cgroup_fd, has_root);
    if (clone.pid == 0) RunChild(child);
    if (clone.pid < 0) return Fail(failure, kStepClone, "clone3");
  }
  launched->pid = static_cast<pid_t>(clone.pid);
  launched->pidfd = clone.pidfd;
  launched->report_fd = channels.report_read.Release();
  launched->console_socket = channels.console.Release();
  return 0;
}

}  // namespace pinion::launch
