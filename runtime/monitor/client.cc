#include "runtime/monitor/client.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/memfd.h"
#include "runtime/monitor/client_connection.h"
#include "runtime/monitor/client_records.h"
#include "runtime/monitor/client_socket.h"
#include "runtime/monitor/client_spawn.h"
#include "runtime/monitor/client_template.h"
#include "runtime/monitor/inherited.h"
#include "runtime/monitor/messages.h"

namespace pinion::monitor {
namespace {

static_assert(kMonitorNetnsFd == kNetnsFd);

// Of the protocol: from it on kStart may bring a root.
constexpr uint16_t kRootVersion = 2;
constexpr auto kHelloTimeout = std::chrono::seconds(5);

// A request's bytes, and the number that its answer will bear.
class Request {
 public:
  Request(ClientConnection& connection, MessageType type)
      : sequence_(connection.NextSequence()),
        message_(buffer_, sizeof(buffer_), static_cast<uint16_t>(type),
                 sequence_) {}
  MessageWriter* message() { return &message_; }
  uint64_t sequence() const { return sequence_; }

 private:
  const uint64_t sequence_;
  char buffer_[kMaxMessage];
  MessageWriter message_;
};

class Client : public MonitorClient {
 public:
  explicit Client(std::string pod_id) : pod_id_(std::move(pod_id)) {}
  ~Client() override {
    if (connection_ != nullptr) connection_->Close();
  }

  // To a monitor that is there. Nothing is sent yet.
  absl::Status Open(int pod_dir_fd, os::Reactor& reactor, Callbacks callbacks);
  // Says hello, and waits for the answer, or lets `answered` have it.
  absl::Status Greet(std::vector<ContainerReport>* containers);
  absl::Status GreetLater(Answered answered);
  // Asks for a copy, and says hello to it.
  absl::Status OpenAhead(const SpawnOptions& options, MonitorTemplate& source,
                         os::Reactor& reactor, Callbacks callbacks);

  absl::Status AwaitGreeting(Deadline deadline) override;
  pid_t pid() const override { return pid_; }
  uint64_t start_ticks() const override { return start_ticks_; }
  bool TakesRoot() const override { return version_ >= kRootVersion; }
  bool lost() const override { return connection_->hung_up(); }
  absl::Status BeginSandbox(const SandboxRequest& request,
                            Deadline deadline) override;
  absl::StatusOr<Sandbox> AwaitSandbox(Deadline deadline) override;
  absl::StatusOr<Started> Start(const StartRequest& request,
                                Deadline deadline) override;
  absl::StatusOr<Started> Exec(const ExecRequest& request,
                               Deadline deadline) override;
  absl::StatusOr<Attached> Attach(const AttachRequest& request,
                                  Deadline deadline) override;
  absl::StatusOr<TcpSockets> MakeSockets(Deadline deadline) override;
  absl::Status Signal(const std::string& id, int signal,
                      Deadline deadline) override;
  absl::Status ReopenLog(const std::string& container_id,
                         Deadline deadline) override;
  absl::Status Forget(const std::string& container_id,
                      Deadline deadline) override;
  absl::Status Shutdown(Deadline deadline) override;

 private:
  absl::StatusOr<std::vector<ContainerReport>> TakeHello(
      const Incoming& answer,
      const std::vector<std::unique_ptr<Incoming>>& reports);
  absl::StatusOr<std::unique_ptr<Incoming>> Call(
      Request& request, Deadline deadline,
      std::vector<std::unique_ptr<Incoming>>* reports = nullptr);
  absl::Status Use(os::UniqueFd socket, os::Reactor& reactor,
                   Callbacks callbacks);
  absl::Status SendHello(Deadline deadline);
  absl::Status AwaitHello(Deadline deadline,
                          std::vector<ContainerReport>* containers);
  absl::StatusOr<Started> StartWith(const StartMessage& message,
                                    MessageType type, const std::string& plan,
                                    Deadline deadline);
  absl::Status Target(MessageType type, const std::string& id, int signal,
                      Deadline deadline);

  const std::string pod_id_;
  pid_t pid_ = 0;
  uint64_t start_ticks_ = 0;
  uint16_t version_ = 0;
  bool new_network_ = false;  // Asked for, to be made by the monitor.
  bool unborn_ = false;       // Nobody has greeted yet.
  std::shared_ptr<ClientConnection> connection_;
  ClientConnection::PendingCall hello_;
  ClientConnection::PendingCall sandbox_;
};

// For requests that the first monitors did not know.
absl::Status ToNewerStatus(const Error& error, const std::string& what) {
  if (error.error != ENOSYS) return ToStatus(error);
  return absl::UnimplementedError(
      absl::StrCat(what,
                   ": the pod's monitor is of an older pinion; it can be "
                   "had again once the pod was made anew"));
}

void OnEvent(const Callbacks& callbacks, ClientConnection& connection,
             const MessageReader& message) {
  ExitMessage exit;
  const auto type = static_cast<MessageType>(message.type());
  if ((type != MessageType::kExit && type != MessageType::kInitExit) ||
      !Get(message, &exit)) {
    return;  // Of a newer monitor.
  }
  const auto& callback =
      type == MessageType::kExit ? callbacks.on_exit : callbacks.on_init_exit;
  if (callback) callback(ToExitRecord(exit));
  char buffer[64];
  MessageWriter ack(buffer, sizeof(buffer),
                    static_cast<uint16_t>(MessageType::kExitAck), 0);
  PutExitAck(&ack, exit.event);
  // Without the acknowledgement it is told again to the next connection.
  connection.Post(ack);
}

absl::Status Client::Open(int pod_dir_fd, os::Reactor& reactor,
                          Callbacks callbacks) {
  PINION_ASSIGN_OR_RETURN(os::UniqueFd socket, ConnectToMonitor(pod_dir_fd));
  return Use(std::move(socket), reactor, std::move(callbacks));
}

absl::Status Client::OpenAhead(const SpawnOptions& options,
                               MonitorTemplate& source, os::Reactor& reactor,
                               Callbacks callbacks) {
  PINION_ASSIGN_OR_RETURN(os::UniqueFd socket, source.Clone(options));
  unborn_ = true;
  PINION_RETURN_IF_ERROR(Use(std::move(socket), reactor, std::move(callbacks)));
  return SendHello(std::chrono::steady_clock::now() + kHelloTimeout);
}

absl::Status Client::Use(os::UniqueFd socket, os::Reactor& reactor,
                         Callbacks callbacks) {
  // The handlers outlive this call only as part of the connection, so they
  // may hold it weakly; they own the callbacks.
  auto held = std::make_shared<std::weak_ptr<ClientConnection>>();
  auto shared = std::make_shared<Callbacks>(std::move(callbacks));
  ClientConnection::Handlers handlers;
  handlers.on_event = [held, shared](const MessageReader& message) {
    if (const auto connection = held->lock()) {
      OnEvent(*shared, *connection, message);
    }
  };
  handlers.on_hang_up = [shared] {
    if (shared->on_lost) shared->on_lost();
  };
  PINION_ASSIGN_OR_RETURN(
      connection_, ClientConnection::Create(std::move(socket), reactor,
                                            std::move(handlers), unborn_));
  // Nothing comes before the hello has been sent.
  *held = connection_;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ContainerReport>> Client::TakeHello(
    const Incoming& answer,
    const std::vector<std::unique_ptr<Incoming>>& reports) {
  HelloReplyMessage hello;
  if (!Get(answer.reader, &hello)) {
    return absl::InternalError("pod monitor's greeting makes no sense");
  }
  pid_ = hello.pid;
  start_ticks_ = hello.start_ticks;
  version_ = answer.reader.version();
  std::vector<ContainerReport> containers;
  for (const std::unique_ptr<Incoming>& report : reports) {
    ReportMessage message;
    if (Get(report->reader, &message)) {
      containers.push_back(ToContainerReport(message));
    }
  }
  return containers;
}

absl::Status Client::SendHello(Deadline deadline) {
  Request request(*connection_, MessageType::kHello);
  return connection_->Begin(*request.message(), request.sequence(), deadline,
                            &hello_);
}

absl::Status Client::AwaitHello(Deadline deadline,
                                std::vector<ContainerReport>* containers) {
  std::vector<std::unique_ptr<Incoming>> reports;
  PINION_ASSIGN_OR_RETURN_AS(const std::unique_ptr<Incoming> answer,
                             connection_->Await(&hello_, deadline, &reports),
                             absl::StrCat("pod ", pod_id_));
  PINION_ASSIGN_OR_RETURN(auto held, TakeHello(*answer, reports));
  if (containers != nullptr) *containers = std::move(held);
  return absl::OkStatus();
}

absl::Status Client::Greet(std::vector<ContainerReport>* containers) {
  const Deadline deadline = std::chrono::steady_clock::now() + kHelloTimeout;
  PINION_RETURN_IF_ERROR(SendHello(deadline));
  return AwaitHello(deadline, containers);
}

absl::Status Client::GreetLater(Answered answered) {
  Request request(*connection_, MessageType::kHello);
  // `this` closes the connection when it ends: no answer comes after that.
  return connection_->CallLater(
      *request.message(), request.sequence(),
      [this, answered = std::move(answered)](
          std::unique_ptr<Incoming> answer,
          std::vector<std::unique_ptr<Incoming>> reports) {
        answered(TakeHello(*answer, reports));
      });
}

absl::Status Client::AwaitGreeting(Deadline deadline) {
  if (!unborn_) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(AwaitHello(deadline, nullptr));
  unborn_ = false;
  if (!connection_->DoNotExpectHangUp()) {
    return absl::UnavailableError("pod monitor ended after its greeting");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Incoming>> Client::Call(
    Request& request, Deadline deadline,
    std::vector<std::unique_ptr<Incoming>>* reports) {
  auto answer = connection_->Call(*request.message(), request.sequence(),
                                  deadline, reports);
  if (!answer.ok()) {
    return Annotate(answer.status(), absl::StrCat("pod ", pod_id_));
  }
  return answer;
}

absl::Status Client::BeginSandbox(const SandboxRequest& request,
                                  Deadline deadline) {
  new_network_ = request.new_network && request.netns_fd < 0;
  Request call(*connection_, MessageType::kSetUpSandbox);
  SandboxMessage message;
  message.hostname = request.hostname;
  message.new_network = request.new_network;
  message.new_ipc = request.new_ipc;
  message.new_uts = request.new_uts;
  message.shared_pid = request.shared_pid;
  message.shm_bytes = request.shm_bytes;
  message.netns_fd = request.netns_fd;
  message.uid_map = request.uid_map;
  message.gid_map = request.gid_map;
  Put(call.message(), message);
  for (const auto& [name, value] : request.sysctls) {
    PutSysctl(call.message(), name, value);
  }
  return Annotate(
      connection_->Begin(*call.message(), call.sequence(), deadline, &sandbox_),
      absl::StrCat("pod ", pod_id_));
}

absl::StatusOr<Sandbox> Client::AwaitSandbox(Deadline deadline) {
  PINION_ASSIGN_OR_RETURN_AS(const std::unique_ptr<Incoming> answer,
                             connection_->Await(&sandbox_, deadline),
                             absl::StrCat("pod ", pod_id_));
  PINION_RETURN_IF_ERROR(ToStatus(GetError(answer->reader)));
  SandboxReplyMessage reply;
  Get(answer->reader, &answer->fds, &reply);
  Sandbox sandbox;
  sandbox.netns = os::UniqueFd(reply.netns_fd);
  sandbox.netns_route_socket = os::UniqueFd(reply.route_socket);
  sandbox.monitor_pid = pid_;
  sandbox.monitor_start_ticks = start_ticks_;
  sandbox.init_pid = reply.init_pid;
  if (answer->fds.cut()) {
    return absl::ResourceExhaustedError(
        "receive network namespace from the pod monitor: EMFILE");
  }
  if (new_network_ &&
      (!sandbox.netns.valid() || !sandbox.netns_route_socket.valid())) {
    return absl::InternalError("pod monitor sent no network namespace");
  }
  return sandbox;
}

absl::StatusOr<Started> Client::StartWith(const StartMessage& message,
                                          MessageType type,
                                          const std::string& plan,
                                          Deadline deadline) {
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd plan_fd,
                          os::SealedMemfd("pinion-plan", plan));
  Request call(*connection_, type);
  StartMessage complete = message;
  complete.plan_fd = plan_fd.get();
  Put(call.message(), complete);
  PINION_ASSIGN_OR_RETURN(const std::unique_ptr<Incoming> answer,
                          Call(call, deadline));
  PINION_RETURN_IF_ERROR(ToStartStatus(GetError(answer->reader)));
  StartReplyMessage reply;
  Get(answer->reader, &answer->fds, &reply);
  return Started{reply.pid, reply.start_ticks, reply.started_at_ns,
                 os::UniqueFd(reply.console_fd)};
}

absl::StatusOr<Started> Client::Start(const StartRequest& request,
                                      Deadline deadline) {
  StartMessage message;
  message.id = request.container_id;
  message.log_path = request.log_path;
  message.max_log_bytes = request.max_log_bytes;
  message.open_stdin = request.open_stdin;
  message.stdin_once = request.stdin_once;
  message.terminal = request.terminal;
  message.cgroup_fd = request.cgroup_fd;
  message.root_fd = request.root_fd;
  message.mount_namespace_fd = request.mount_namespace_fd;
  message.restore_dir_fd = request.restore_dir_fd;
  return StartWith(message, MessageType::kStart, request.plan, deadline);
}

absl::StatusOr<Started> Client::Exec(const ExecRequest& request,
                                     Deadline deadline) {
  StartMessage message;
  message.id = request.exec_id;
  message.container_id = request.container_id;
  message.terminal = request.terminal;
  message.cgroup_fd = request.cgroup_fd;
  message.stdin_fd = request.stdin_fd;
  message.stdout_fd = request.stdout_fd;
  message.stderr_fd = request.stderr_fd;
  return StartWith(message, MessageType::kExec, request.plan, deadline);
}

absl::StatusOr<Attached> Client::Attach(const AttachRequest& request,
                                        Deadline deadline) {
  Request call(*connection_, MessageType::kAttach);
  AttachMessage message;
  message.id = request.container_id;
  message.open_stdin = request.open_stdin;
  message.stdout_fd = request.stdout_fd;
  message.stderr_fd = request.stderr_fd;
  message.control_fd = request.control_fd;
  Put(call.message(), message);
  PINION_ASSIGN_OR_RETURN(const std::unique_ptr<Incoming> answer,
                          Call(call, deadline));
  const Error error = GetError(answer->reader);
  if (error.error == ESRCH) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", request.container_id, " is not running"));
  }
  PINION_RETURN_IF_ERROR(ToNewerStatus(error, "attach"));
  if (answer->fds.cut()) {
    return absl::ResourceExhaustedError(
        "receive the container's stdin from the pod monitor: EMFILE");
  }
  AttachReplyMessage reply;
  Get(answer->reader, &answer->fds, &reply);
  return Attached{os::UniqueFd(reply.stdin_fd), os::UniqueFd(reply.console_fd)};
}

absl::StatusOr<TcpSockets> Client::MakeSockets(Deadline deadline) {
  Request call(*connection_, MessageType::kMakeSockets);
  PINION_ASSIGN_OR_RETURN(const std::unique_ptr<Incoming> answer,
                          Call(call, deadline));
  PINION_RETURN_IF_ERROR(
      ToNewerStatus(GetError(answer->reader), "port forwarding"));
  if (answer->fds.cut()) {
    return absl::ResourceExhaustedError(
        "receive sockets from the pod monitor: EMFILE");
  }
  SocketsReplyMessage reply;
  Get(answer->reader, &answer->fds, &reply);
  return TcpSockets{os::UniqueFd(reply.ipv4_fd), os::UniqueFd(reply.ipv6_fd)};
}

absl::Status Client::Target(MessageType type, const std::string& id, int signal,
                            Deadline deadline) {
  Request call(*connection_, type);
  Put(call.message(), TargetMessage{id, signal});
  PINION_ASSIGN_OR_RETURN(const std::unique_ptr<Incoming> answer,
                          Call(call, deadline));
  return ToStatus(GetError(answer->reader));
}

absl::Status Client::Signal(const std::string& id, int signal,
                            Deadline deadline) {
  return Target(MessageType::kSignal, id, signal, deadline);
}

absl::Status Client::ReopenLog(const std::string& container_id,
                               Deadline deadline) {
  return Target(MessageType::kReopenLog, container_id, 0, deadline);
}

absl::Status Client::Forget(const std::string& container_id,
                            Deadline deadline) {
  return Target(MessageType::kForget, container_id, 0, deadline);
}

absl::Status Client::Shutdown(Deadline deadline) {
  connection_->ExpectHangUp();
  Request call(*connection_, MessageType::kShutdown);
  const auto answer = Call(call, deadline);
  // Unavailable: it was quicker than its answer, or gone before.
  if (!answer.ok() && !absl::IsUnavailable(answer.status())) {
    return answer.status();
  }
  if (!connection_->WaitForHangUp(deadline)) {
    return absl::DeadlineExceededError(
        absl::StrCat("pod ", pod_id_, ": pod monitor does not end"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<MonitorClient>> MonitorClient::Spawn(
    const SpawnOptions& options, os::Reactor& reactor, Callbacks callbacks) {
  PINION_ASSIGN_OR_RETURN(const SpawnedMonitor spawned,
                          SpawnMonitor(options, reactor));
  auto client = std::make_unique<Client>(options.pod_id);
  absl::Status connected =
      client->Open(options.pod_dir_fd, reactor, std::move(callbacks));
  if (connected.ok()) connected = client->Greet(nullptr);
  if (!connected.ok()) {
    // It holds nothing yet.
    spawned.Kill();
    return Annotate(connected, "start pod monitor");
  }
  return client;
}

absl::StatusOr<std::unique_ptr<MonitorClient>> MonitorClient::Clone(
    const SpawnOptions& options, MonitorTemplate& source, os::Reactor& reactor,
    Callbacks callbacks) {
  auto client = std::make_unique<Client>(options.pod_id);
  PINION_RETURN_IF_ERROR_AS(
      client->OpenAhead(options, source, reactor, std::move(callbacks)),
      "copy the monitor's template");
  return client;
}

absl::StatusOr<std::unique_ptr<MonitorClient>> MonitorClient::Reconnect(
    const std::string& pod_id, int pod_dir_fd, os::Reactor& reactor,
    Callbacks callbacks, std::vector<ContainerReport>* containers) {
  const std::string what =
      absl::StrCat("reconnect to the monitor of pod ", pod_id);
  auto client = std::make_unique<Client>(pod_id);
  PINION_RETURN_IF_ERROR_AS(
      client->Open(pod_dir_fd, reactor, std::move(callbacks)), what);
  PINION_RETURN_IF_ERROR_AS(client->Greet(containers), what);
  return client;
}

absl::StatusOr<std::unique_ptr<MonitorClient>> MonitorClient::BeginReconnect(
    const std::string& pod_id, int pod_dir_fd, os::Reactor& reactor,
    Callbacks callbacks, Answered answered) {
  const std::string what =
      absl::StrCat("reconnect to the monitor of pod ", pod_id);
  auto client = std::make_unique<Client>(pod_id);
  PINION_RETURN_IF_ERROR_AS(
      client->Open(pod_dir_fd, reactor, std::move(callbacks)), what);
  PINION_RETURN_IF_ERROR_AS(client->GreetLater(std::move(answered)), what);
  return client;
}

}  // namespace pinion::monitor
