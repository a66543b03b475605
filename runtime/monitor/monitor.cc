#include "runtime/monitor/monitor.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/process_start.h"
#include "runtime/monitor/clock.h"
#include "runtime/monitor/inherited.h"
#include "runtime/monitor/messages.h"
#include "runtime/monitor/resident.h"

namespace pinion::monitor {
namespace {

constexpr size_t kReplyCapacity = 1024;
// A killed process that is not gone by then sits in the kernel (a dead disk);
// it stays in the pod's cgroup, where the daemon sees it.
constexpr int64_t kShutdownNanos = 5'000'000'000;
constexpr int kShutdownCheckMs = 100;
// After so long without an event memory is given back, once.
constexpr int kQuietMs = 1000;
// How often is looked whether an attached client has been slow for too long.
constexpr int kSlowCheckMs = 1000;

}  // namespace

int Monitor::Create(int listening_socket, int signal_fd, int first_connection) {
  int error = loop_.Create();
  if (error == 0) error = streams_.Create();
  if (error == 0) {
    error =
        loop_.Add(&streams_watch_, streams_.fd(), EPOLLIN, StreamsReady, this);
  }
  if (error == 0) {
    error = loop_.Add(&signal_, signal_fd, EPOLLIN, SignalReady, this);
  }
  if (error == 0) error = link_.Create(&loop_, listening_socket, this);
  born_connected_ = first_connection >= 0;
  if (error == 0 && born_connected_) error = link_.Adopt(first_connection);
  return error;
}

void Monitor::Run() {
  while (!ShutdownIsDone() && !IsAbandoned()) {
    int timeout_ms = trim_due_ || !link_.accepting() ? kQuietMs : -1;
    if (supervisor_.has_slow_client()) timeout_ms = kSlowCheckMs;
    if (shutdown_deadline_ns_ != 0) timeout_ms = kShutdownCheckMs;
    const bool quiet = loop_.Turn(timeout_ms) == 0;
    link_.ResumeAccepting();
    if (quiet && trim_due_) DropCleanPages();
    trim_due_ = !quiet;
    if (supervisor_.has_slow_client()) supervisor_.LetSlowClientsGo();
    supervisor_.EndExecsOfLostDaemons();
    supervisor_.SendEvents();
    supervisor_.Sweep();
  }
  // A copy that came too late may have made the pod's init already.
  if (IsAbandoned()) supervisor_.KillAll();
  supervisor_.CloseStreams();
}

bool Monitor::ShutdownIsDone() const {
  if (shutdown_deadline_ns_ == 0) return false;
  return (!supervisor_.has_live_process() && link_.idle()) ||
         MonotonicNanos() > shutdown_deadline_ns_;
}

bool Monitor::IsAbandoned() const {
  return born_connected_ && link_.connection() == 0 && !answered_;
}

void Monitor::StreamsReady(void* self, uint32_t) {
  static_cast<Monitor*>(self)->streams_.Turn(0, 1);
}

void Monitor::SignalReady(void* self, uint32_t) {
  auto* monitor = static_cast<Monitor*>(self);
  signalfd_siginfo info;
  // One signal may stand for many children; Reap finds them all.
  while (read(monitor->signal_.fd, &info, sizeof(info)) > 0) {
  }
  monitor->supervisor_.Reap();
}

void Monitor::OnMessage(const MessageReader& message, ReceivedFds* fds) {
  switch (static_cast<MessageType>(message.type())) {
    case MessageType::kHello:
      return OnHello(message);
    case MessageType::kSetUpSandbox:
      return OnSetUpSandbox(message, fds);
    case MessageType::kStart:
      return OnStart(message, fds, false);
    case MessageType::kExec:
      return OnStart(message, fds, true);
    case MessageType::kAttach:
      return OnAttach(message, fds);
    case MessageType::kMakeSockets:
      return OnMakeSockets(message);
    case MessageType::kSignal:
    case MessageType::kReopenLog:
    case MessageType::kForget:
      return OnTarget(message);
    case MessageType::kExitAck:
      return supervisor_.Acknowledge(GetExitAck(message));
    case MessageType::kShutdown:
      shutdown_deadline_ns_ = MonotonicNanos() + kShutdownNanos;
      supervisor_.KillAll();
      return Reply(message.sequence(), {});
    default:
      // Of a newer daemon.
      return Reply(message.sequence(), {ENOSYS, "monitor", "request"});
  }
}

void Monitor::Reply(uint64_t sequence, const Error& error) {
  char buffer[kReplyCapacity];
  MessageWriter reply(buffer, sizeof(buffer),
                      static_cast<uint16_t>(MessageType::kReply), sequence);
  PutError(&reply, error);
  link_.Send(&reply);
}

void Monitor::OnHello(const MessageReader& message) {
  supervisor_.SendReports(message.sequence());
  char buffer[kReplyCapacity];
  MessageWriter reply(buffer, sizeof(buffer),
                      static_cast<uint16_t>(MessageType::kHelloReply),
                      message.sequence());
  const pid_t pid = getpid();
  Put(&reply, HelloReplyMessage{pid, launch::ProcessStartTicks(pid)});
  link_.Send(&reply);
}

void Monitor::OnSetUpSandbox(const MessageReader& message, ReceivedFds* fds) {
  SandboxMessage request;
  Get(message, fds, &request);
  // Given, it is the daemon's already.
  const int netns_fd = request.netns_fd;
  int route_socket = -1;
  Failed failed;
  char buffer[kReplyCapacity];
  MessageWriter reply(buffer, sizeof(buffer),
                      static_cast<uint16_t>(MessageType::kSandboxReply),
                      message.sequence());
  if (namespaces_.SetUp(request, message, &route_socket, &failed)) {
    if (namespaces_.init_pid() > 0)
      supervisor_.AdoptInit(namespaces_.init_pid());
    const bool tell = netns_fd < 0 && namespaces_.has_network();
    Put(&reply, SandboxReplyMessage{tell ? kNetnsFd : -1, route_socket,
                                    namespaces_.init_pid()});
  } else {
    PutError(&reply, {failed.error, failed.what.view(), failed.object.view()});
  }
  answered_ = link_.Send(&reply);
  if (route_socket >= 0) close(route_socket);
  if (netns_fd >= 0) close(netns_fd);
}

void Monitor::OnStart(const MessageReader& message, ReceivedFds* fds,
                      bool exec) {
  StartMessage request;
  const bool valid = Get(message, fds, &request);
  if (valid && shutdown_deadline_ns_ == 0) {
    supervisor_.Start(request, exec, message.sequence());
    return;
  }
  const int taken[] = {request.plan_fd,           request.cgroup_fd,
                       request.stdin_fd,          request.stdout_fd,
                       request.stderr_fd,         request.root_fd,
                       request.mount_namespace_fd};
  for (const int fd : taken) {
    if (fd >= 0) close(fd);
  }
  const int error = valid ? ESHUTDOWN : fds->cut() ? EMFILE : EINVAL;
  Reply(message.sequence(), {error, "start", request.id});
}

void Monitor::OnAttach(const MessageReader& message, ReceivedFds* fds) {
  AttachMessage request;
  if (Get(message, fds, &request)) {
    supervisor_.Attach(request, message.sequence());
    return;
  }
  for (const int fd :
       {request.stdout_fd, request.stderr_fd, request.control_fd}) {
    if (fd >= 0) close(fd);
  }
  Reply(message.sequence(),
        {fds->cut() ? EMFILE : EINVAL, "attach to", request.id});
}

void Monitor::OnMakeSockets(const MessageReader& message) {
  constexpr int kKind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  SocketsReplyMessage sockets;
  sockets.ipv4_fd = socket(AF_INET, kKind, 0);
  const int error = sockets.ipv4_fd < 0 ? errno : 0;
  // A kernel without IPv6 has none.
  sockets.ipv6_fd = socket(AF_INET6, kKind, 0);
  char buffer[kReplyCapacity];
  MessageWriter reply(buffer, sizeof(buffer),
                      static_cast<uint16_t>(MessageType::kSocketsReply),
                      message.sequence());
  if (sockets.ipv4_fd >= 0 || sockets.ipv6_fd >= 0) {
    Put(&reply, sockets);
  } else {
    PutError(&reply, {error, "make", "socket"});
  }
  link_.Send(&reply);
  for (const int fd : {sockets.ipv4_fd, sockets.ipv6_fd}) {
    if (fd >= 0) close(fd);
  }
}

void Monitor::OnTarget(const MessageReader& message) {
  TargetMessage request;
  if (!Get(message, &request)) {
    return Reply(message.sequence(), {EINVAL, "monitor", "id"});
  }
  int error = 0;
  std::string_view what;
  if (message.type() == static_cast<uint16_t>(MessageType::kSignal)) {
    what = "signal";
    error = supervisor_.Signal(request.id, request.signal);
  } else if (message.type() == static_cast<uint16_t>(MessageType::kReopenLog)) {
    what = "reopen log of";
    error = supervisor_.ReopenLog(request.id);
  } else {
    what = "forget";
    error = supervisor_.Forget(request.id);
  }
  Reply(message.sequence(), {error, what, request.id});
}

}  // namespace pinion::monitor
