// Supervisor: clients of a container's stdio.

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/monitor/clock.h"
#include "runtime/monitor/supervisor.h"

namespace pinion::monitor {
namespace {

constexpr size_t kReplyCapacity = 1024;

// The client gave up before its request was read: while the monitor was
// stopped, or its log disk frozen.
bool HasGone(const AttachMessage& request) {
  pollfd control = {request.control_fd, 0, 0};
  return request.control_fd >= 0 && poll(&control, 1, 0) > 0 &&
         (control.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace

void Supervisor::Attach(const AttachMessage& request, uint64_t sequence) {
  Process* process = table_.Find(request.id);
  int error = 0;
  if (process == nullptr || process->kind != ProcessKind::kContainer) {
    error = ENOENT;
  } else if (process->state != ProcessState::kRunning) {
    error = ESRCH;
  } else if (HasGone(request)) {
    error = ECANCELED;
  }
  if (error == 0) {
    error = process->audience.Add(request);
  } else {
    for (const int fd :
         {request.stdout_fd, request.stderr_fd, request.control_fd}) {
      if (fd >= 0) close(fd);
    }
  }
  char buffer[kReplyCapacity];
  MessageWriter message(buffer, sizeof(buffer),
                        static_cast<uint16_t>(MessageType::kAttachReply),
                        sequence);
  if (error != 0) {
    PutError(&message, {error, "attach to", request.id});
    link_->Send(&message);
    return;
  }
  AttachReplyMessage reply;
  if (process->terminal) {
    reply.console_fd = process->stdin_fd;
  } else if (request.open_stdin) {
    reply.stdin_fd = process->stdin_fd;
  }
  Put(&message, reply);
  const bool sent = link_->Send(&message);
  // From now on the client's is the only writing end: when the client leaves,
  // or closes it, the container reads an end of file.
  if (sent && reply.stdin_fd >= 0 && process->stdin_once) {
    close(process->stdin_fd);
    process->stdin_fd = -1;
  }
}

void Supervisor::LetSlowClientsGo() {
  const int64_t now_ns = MonotonicNanos();
  for (Process* process = table_.first(); process != nullptr;
       process = process->next) {
    process->audience.DropStalled(now_ns);
  }
}

void Supervisor::AudienceCaughtUp(void* context, int stream) {
  auto* process = static_cast<Process*>(context);
  (stream == Audience::kStdout ? process->out : process->err).Resume();
}

}  // namespace pinion::monitor
