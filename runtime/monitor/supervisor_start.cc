// Supervisor: from a start request to "it has exec'ed".

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/launch/process_start.h"
#include "runtime/monitor/clock.h"
#include "runtime/monitor/supervisor.h"

namespace pinion::monitor {
namespace {

constexpr off_t kMaxPlan = off_t{16} << 20;
constexpr size_t kReplyCapacity = 1024;

void CloseFd(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

// The child's ends, and what came with the request: closed on every way out.
struct BorrowedFds {
  explicit BorrowedFds(const StartMessage& request)
      : plan(request.plan_fd),
        child{request.stdin_fd,
              request.stdout_fd,
              request.stderr_fd,
              request.cgroup_fd,
              -1,
              -1,
              request.root_fd,
              request.mount_namespace_fd,
              -1,
              0,
              -1,
              -1} {}
  ~BorrowedFds() {
    CloseFd(&plan);
    CloseFd(&child.stdin_fd);
    CloseFd(&child.stdout_fd);
    CloseFd(&child.stderr_fd);
    CloseFd(&child.root_fd);
    CloseFd(&child.mount_namespace_fd);
  }
  int plan;
  launch::LaunchFds child;  // its cgroup_fd is the process's own
};

void SendStartError(DaemonLink* link, uint64_t sequence, const Error& error) {
  char buffer[kReplyCapacity];
  MessageWriter message(buffer, sizeof(buffer),
                        static_cast<uint16_t>(MessageType::kStartReply),
                        sequence);
  PutError(&message, error);
  link->Send(&message);
}

}  // namespace

void Supervisor::Start(const StartMessage& request, bool exec,
                       uint64_t sequence) {
  BorrowedFds fds(request);
  Process* process =
      table_.Find(request.id) == nullptr ? table_.New() : nullptr;
  if (process == nullptr) {
    CloseFd(&fds.child.cgroup_fd);
    int restore_dir = request.restore_dir_fd;
    CloseFd(&restore_dir);
    const int error = table_.Find(request.id) != nullptr ? EEXIST : EAGAIN;
    SendStartError(link_, sequence, {error, "start", request.id});
    return;
  }
  process->owner = this;
  process->id.Add(request.id);
  process->kind = exec ? ProcessKind::kExec : ProcessKind::kContainer;
  process->cgroup_fd = fds.child.cgroup_fd;
  process->restore_dir_fd = request.restore_dir_fd;
  process->terminal = request.terminal;
  process->stdin_once = request.stdin_once;
  process->audience.Init(loop_, &clients_, AudienceCaughtUp, process);
  process->start_sequence = sequence;
  process->start_connection = link_->connection();
  process->connection = link_->connection();
  fds.child.pod_pidns_fd = namespaces_->pidns_fd();
  fds.child.pod_shm_fd = namespaces_->shm_fd();
  fds.child.pod_userns_fd = namespaces_->userns_fd();

  if (exec) NameTarget(request.container_id, &fds.child);

  const bool started = (exec || OpenStdio(process, request, &fds.child)) &&
                       LaunchPlan(process, fds.plan, fds.child);
  if (!started) {
    process->finished_at_ns = WallNanos();
    Conclude(process);
  }
}

void Supervisor::NameTarget(std::string_view container_id,
                            launch::LaunchFds* fds) {
  const Process* target = table_.Find(container_id);
  if (target == nullptr || target->state != ProcessState::kRunning) return;
  fds->own_child = target->pid;
  fds->own_child_start_ticks = target->start_ticks;
  fds->own_child_pidfd = target->pidfd;
}

bool Supervisor::OpenStdio(Process* process, const StartMessage& request,
                           launch::LaunchFds* fds) {
  if (!request.log_path.empty()) {
    const int error =
        process->log.Open(request.log_path, request.max_log_bytes);
    if (error != 0) {
      return process->failed.Set(error, "open log", request.log_path);
    }
  }
  if (request.terminal) return true;
  if (request.open_stdin) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      return process->failed.Set(errno, "pipe2", "stdin");
    }
    fds->stdin_fd = ends[0];
    process->stdin_fd = ends[1];
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
  }
  return OpenOutputs(process, fds);
}

bool Supervisor::OpenOutputs(Process* process, launch::LaunchFds* fds) {
  struct Output {
    OutputStream* output;
    int* child_end;
    int stream;
    const char* name;
  };
  const Output outputs[] = {
      {&process->out, &fds->stdout_fd, Audience::kStdout, "stdout"},
      {&process->err, &fds->stderr_fd, Audience::kStderr, "stderr"}};
  for (const Output& output : outputs) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      return process->failed.Set(errno, "pipe2", output.name);
    }
    *output.child_end = ends[1];
    const int error =
        output.output->Open(streams_, ends[0], output.stream, &process->log,
                            &process->audience, StreamClosed, process);
    if (error != 0) return process->failed.Set(error, "watch", output.name);
  }
  return true;
}

bool Supervisor::LaunchPlan(Process* process, int plan_fd,
                            const launch::LaunchFds& fds) {
  // Sealed, so that it can neither change under the launch nor shrink (a
  // SIGBUS here).
  const int seals = fcntl(plan_fd, F_GET_SEALS);
  struct stat st = {};
  if (seals < 0 || (seals & (F_SEAL_WRITE | F_SEAL_SHRINK)) !=
                       (F_SEAL_WRITE | F_SEAL_SHRINK)) {
    return process->failed.Set(EPERM, "launch", "plan is not sealed");
  }
  if (fstat(plan_fd, &st) != 0 || st.st_size <= 0 || st.st_size > kMaxPlan) {
    return process->failed.Set(EINVAL, "launch", "size of the plan");
  }
  const size_t size = static_cast<size_t>(st.st_size);
  void* plan = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, plan_fd, 0);
  if (plan == MAP_FAILED) return process->failed.Set(errno, "mmap", "plan");

  launch::Launched launched;
  launch::Failure failure;
  const int result = launch::Launch(plan, size, fds, &launched, &failure);
  munmap(plan, size);
  if (result != 0) {
    return process->failed.Set(failure.error, launch::StepName(failure.step),
                               failure.object);
  }
  process->pid = launched.pid;
  process->pidfd = launched.pidfd;
  process->start_ticks = launch::ProcessStartTicks(launched.pid);
  int error = loop_->Add(&process->report, launched.report_fd, EPOLLIN,
                         ReportReady, process);
  if (error == 0 && launched.console_socket >= 0) {
    error = loop_->Add(&process->console_socket, launched.console_socket,
                       EPOLLIN, ConsoleReady, process);
  }
  // Without a watch it could not be followed; it is reaped as a failure.
  if (error != 0) {
    process->failed.Set(error, "epoll_ctl", "report pipe");
    syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, nullptr, 0);
  }
  return true;
}

void Supervisor::ReportReady(void* context, uint32_t) {
  auto* process = static_cast<Process*>(context);
  Supervisor* self = process->owner;
  // A failure is answered when the process has been reaped: then its cgroup
  // is empty.
  if (self->ReadReport(process) && process->failed.error == 0 &&
      process->restore_dir_fd < 0) {
    self->OnStarted(process);
  }
}

bool Supervisor::ReadReport(Process* process) {
  if (!process->report.active()) return process->failed.error != 0;
  launch::Failure failure;
  const ssize_t size = read(process->report.fd, &failure, sizeof(failure));
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  loop_->Close(&process->report);
  if (size == static_cast<ssize_t>(sizeof(failure))) {
    failure.object[sizeof(failure.object) - 1] = '\0';
    process->failed.Set(failure.error != 0 ? failure.error : EIO,
                        launch::StepName(failure.step), failure.object);
    syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, nullptr, 0);
  } else if (size != 0) {
    process->failed.Set(EPROTO, "read", "report pipe");
    syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, nullptr, 0);
  }
  return true;
}

void Supervisor::OnStarted(Process* process) {
  if (process->console_socket.active()) ReceiveConsole(process);
  process->state = ProcessState::kRunning;
  process->started_at_ns = WallNanos();
  if (process->start_connection != 0 &&
      process->start_connection == link_->connection()) {
    char buffer[kReplyCapacity];
    MessageWriter message(buffer, sizeof(buffer),
                          static_cast<uint16_t>(MessageType::kStartReply),
                          process->start_sequence);
    Put(&message,
        StartReplyMessage{process->pid, process->start_ticks,
                          process->started_at_ns, process->console_fd});
    link_->Send(&message);
  }
  process->start_connection = 0;
  CloseFd(&process->console_fd);
}

void Supervisor::ConsoleReady(void* context, uint32_t) {
  auto* process = static_cast<Process*>(context);
  process->owner->ReceiveConsole(process);
}

void Supervisor::ReceiveConsole(Process* process) {
  char byte = 0;
  ReceivedFds fds;
  const int64_t size =
      ReceiveMessage(process->console_socket.fd, &byte, sizeof(byte), &fds);
  if (size == -EAGAIN) return;
  loop_->Close(&process->console_socket);
  const int console = fds.Take(0);
  if (console < 0) return;
  if (process->kind == ProcessKind::kExec) {
    process->console_fd = console;
    return;
  }
  // Closed on an error: then the container has no terminal to write to, and
  // its end is reported like any other.
  process->stdin_fd = fcntl(console, F_DUPFD_CLOEXEC, 0);
  process->out.Open(streams_, console, Audience::kStdout, &process->log,
                    &process->audience, StreamClosed, process);
}

}  // namespace pinion::monitor
