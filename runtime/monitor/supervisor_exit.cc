// Supervisor: from the end of a process to the daemon's acknowledgement.

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/monitor/clock.h"
#include "runtime/monitor/exit_record.h"
#include "runtime/monitor/supervisor.h"

namespace pinion::monitor {
namespace {

constexpr size_t kEventCapacity = 2048;
// What a container that never started reports as its exit code: what shells
// say of a command that cannot be run lies between 126 and 128; containerd's
// StartError is 128, which the kubelet shows.
constexpr int kStartFailedCode = 128;

using ErrorText = FixedText<512>;

void DescribeFailure(const Failed& failed, ErrorText* text) {
  if (failed.error == 0) return;
  text->Add(failed.what.view()).Add(" ").Add(failed.object.view()).Add(": ");
  const char* name = strerrorname_np(failed.error);
  if (name != nullptr) {
    text->Add(name);
  } else {
    text->Add("errno ").AddNumber(failed.error);
  }
}

// The views point into *process and *error.
ExitMessage ExitOf(const Process& process, ErrorText* error) {
  DescribeFailure(process.failed, error);
  ExitMessage exit;
  exit.event = process.event;
  exit.id = process.id.view();
  exit.code = process.code;
  exit.signal = process.signal;
  exit.oom_killed = process.oom_killed;
  exit.finished_at_ns = process.finished_at_ns;
  exit.dropped_lines = process.log.dropped_lines();
  exit.error = error->view();
  return exit;
}

}  // namespace

void Supervisor::AdoptInit(pid_t pid) {
  Process* process = table_.New();
  if (process == nullptr) return;
  process->owner = this;
  process->id.Add("pod-init");
  process->kind = ProcessKind::kInit;
  process->state = ProcessState::kRunning;
  process->pid = pid;
  process->started_at_ns = WallNanos();
}

void Supervisor::Reap() {
  while (true) {
    siginfo_t info = {};
    // __WALL: whatever signal a child was cloned with.
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) != 0 ||
        info.si_pid == 0) {
      return;
    }
    Process* process = table_.FindPid(info.si_pid);
    // Else an orphan of some container that was reparented to us.
    if (process != nullptr) OnEnded(process, info.si_code, info.si_status);
  }
}

void Supervisor::OnEnded(Process* process, int code, int status) {
  if (process->state == ProcessState::kStarting) {
    ReadReport(process);
    if (process->restore_dir_fd >= 0) {
      if (FinishRestore(process, code, status)) return;
    } else if (process->failed.error == 0) {
      // Started and ended within one turn of the loop.
      OnStarted(process);
    }
  }
  // After the time of its start.
  process->finished_at_ns = WallNanos();
  if (code == CLD_EXITED) {
    process->code = status;
  } else {
    process->signal = status;
    process->code = 128 + status;
  }
  Conclude(process);
}

void Supervisor::Conclude(Process* process) {
  process->state = ProcessState::kEnded;
  process->out.Drain();
  process->err.Drain();
  if (process->cgroup_fd >= 0) {
    process->oom_killed = ReadKernelCounter(process->cgroup_fd, "memory.events",
                                            "oom_kill", 0) > 0;
  }
  if (process->failed.error != 0) {
    process->code = kStartFailedCode;
    process->signal = 0;
  }
  // Clients have had all of it, or as much as they have read; the rest waits
  // for them. What outlives the container writes for the log alone.
  process->audience.End(process->code);
  process->out.Resume();
  process->err.Resume();
  process->event = ++last_event_;
  if (process->kind == ProcessKind::kContainer) {
    ErrorText text;
    // The state directory is full: the daemon is told all the same.
    (void)WriteExitRecord(pod_dir_, ExitOf(*process, &text));
  }
  if (process->failed.error != 0) AnswerFailure(process);
  if (process->has_open_stream()) {
    WatchCgroup(process);
  } else {
    CloseDescriptors(process);
  }
}

void Supervisor::AnswerFailure(Process* process) {
  const bool same = process->start_connection != 0 &&
                    process->start_connection == link_->connection();
  process->start_connection = 0;
  if (!same) return;  // The next connection hears of it as an event.
  char buffer[kEventCapacity];
  MessageWriter message(buffer, sizeof(buffer),
                        static_cast<uint16_t>(MessageType::kStartReply),
                        process->start_sequence);
  PutError(&message, {process->failed.error, process->failed.what.view(),
                      process->failed.object.view()});
  link_->Send(&message);
  process->event = 0;
  if (process->kind == ProcessKind::kExec) {
    process->out.Close();
    process->err.Close();
    CloseDescriptors(process);
    table_.Free(process);
  }
}

void Supervisor::StreamClosed(void* context) {
  auto* process = static_cast<Process*>(context);
  if (process->state == ProcessState::kEnded && !process->has_open_stream()) {
    process->owner->CloseDescriptors(process);
  }
}

void Supervisor::WatchCgroup(Process* process) {
  const int events =
      process->cgroup_fd < 0
          ? -1
          : openat(process->cgroup_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
  if (events < 0) return;  // Closed at the end of the stream, or Forget.
  // kernfs: a change wakes with EPOLLPRI; registered first, so that none is
  // missed.
  if (loop_->Add(&process->cgroup_events, events, EPOLLPRI, CgroupReady,
                 process) != 0) {
    close(events);
    return;
  }
  CloseIfCgroupEmpty(process);
}

void Supervisor::CgroupReady(void* context, uint32_t) {
  auto* process = static_cast<Process*>(context);
  process->owner->CloseIfCgroupEmpty(process);
}

void Supervisor::CloseIfCgroupEmpty(Process* process) {
  // Read through the watched descriptor: that is what arms it again.
  char text[256];
  const ssize_t size = pread(process->cgroup_events.fd, text, sizeof(text), 0);
  // ENODEV: the cgroup is gone, which says the same.
  const bool populated =
      size > 0 &&
      std::string_view(text, static_cast<size_t>(size)).find("populated 1") !=
          std::string_view::npos;
  if (populated && process->has_open_stream()) return;
  process->out.Drain();
  process->err.Drain();
  process->out.Close();
  process->err.Close();
  CloseDescriptors(process);
}

void Supervisor::CloseDescriptors(Process* process) {
  loop_->Close(&process->report);
  loop_->Close(&process->console_socket);
  loop_->Close(&process->cgroup_events);
  process->log.Close();
  int* const fds[] = {&process->console_fd, &process->stdin_fd,
                      &process->cgroup_fd, &process->pidfd,
                      &process->restore_dir_fd};
  for (int* fd : fds) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
}

void Supervisor::SendEvents() {
  // A connection that has not said hello expects nothing yet.
  if (greeted_ == 0 || greeted_ != link_->connection()) return;
  for (Process* process = table_.first(); process != nullptr;
       process = process->next) {
    if (process->event == 0 ||
        process->told_connection == link_->connection()) {
      continue;
    }
    if (!link_->idle()) return;
    const MessageType type = process->kind == ProcessKind::kInit
                                 ? MessageType::kInitExit
                                 : MessageType::kExit;
    char buffer[kEventCapacity];
    MessageWriter message(buffer, sizeof(buffer), static_cast<uint16_t>(type),
                          0);
    ErrorText text;
    Put(&message, ExitOf(*process, &text));
    link_->Send(&message);
    process->told_connection = link_->connection();
  }
}

void Supervisor::Acknowledge(uint64_t event) {
  Process* next = nullptr;
  for (Process* process = table_.first(); process != nullptr; process = next) {
    next = process->next;
    if (process->event == 0 || process->event != event) continue;
    process->event = 0;
    if (process->kind != ProcessKind::kContainer) {
      CloseDescriptors(process);
      table_.Free(process);
    }
  }
}

void Supervisor::SendReports(uint64_t sequence) {
  greeted_ = link_->connection();
  BreakOffRestores();
  for (const Process* process = table_.first(); process != nullptr;
       process = process->next) {
    if (process->kind != ProcessKind::kContainer) continue;
    ReportMessage report;
    ErrorText text;
    report.id = process->id.view();
    report.ended = process->state == ProcessState::kEnded;
    report.pid = report.ended ? 0 : process->pid;
    report.start_ticks = process->start_ticks;
    report.started_at_ns = process->started_at_ns;
    report.exit = ExitOf(*process, &text);
    char buffer[kEventCapacity];
    MessageWriter message(buffer, sizeof(buffer),
                          static_cast<uint16_t>(MessageType::kReport),
                          sequence);
    Put(&message, report);
    link_->Send(&message);
  }
}

}  // namespace pinion::monitor
