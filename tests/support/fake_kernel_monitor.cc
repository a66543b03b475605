// monitor::MonitorClient over FakeKernel.

#include <unistd.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tests/support/fake_kernel.h"

namespace pinion::testing_support {
namespace {

class FakeClient final : public monitor::MonitorClient {
 public:
  FakeClient(std::string pod_id, FakeKernel::ConnectionPtr connection)
      : pod_id_(std::move(pod_id)), connection_(std::move(connection)) {}
  ~FakeClient() override { Close(); }

  absl::Status AwaitGreeting(Deadline) override { return Call(); }
  // No process of this machine: there is nothing to signal.
  pid_t pid() const override { return 0; }
  uint64_t start_ticks() const override { return 0; }
  bool TakesRoot() const override { return false; }
  bool lost() const override { return !kernel_.HasMonitor(pod_id_); }

  absl::Status BeginSandbox(const monitor::SandboxRequest&, Deadline) override {
    return Call();
  }
  absl::StatusOr<monitor::Sandbox> AwaitSandbox(Deadline) override {
    PINION_RETURN_IF_ERROR(Call());
    return monitor::Sandbox();
  }

  absl::StatusOr<monitor::Started> Start(const monitor::StartRequest& request,
                                         Deadline) override {
    return Run(request.container_id);
  }

  absl::StatusOr<monitor::Started> Exec(const monitor::ExecRequest& request,
                                        Deadline) override {
    PINION_ASSIGN_OR_RETURN(monitor::Started started, Run(request.exec_id));
    if (request.stdout_fd >= 0) {
      const ssize_t written = write(request.stdout_fd, "hello\n", 6);
      if (written != 6) return absl::InternalError("write of an exec's output");
    }
    // A short command: its end may be told before the start is.
    kernel_.EndProcess(request.exec_id, 0);
    return started;
  }

  absl::StatusOr<monitor::Attached> Attach(const monitor::AttachRequest&,
                                           Deadline) override {
    return absl::UnimplementedError("attach");
  }
  absl::StatusOr<monitor::TcpSockets> MakeSockets(Deadline) override {
    return absl::UnimplementedError("sockets");
  }

  absl::Status Signal(const std::string& id, int, Deadline) override {
    PINION_RETURN_IF_ERROR(Call());
    if (!kernel_.Knows(pod_id_, id)) return absl::NotFoundError(id);
    kernel_.EndProcess(id, 0);
    return absl::OkStatus();
  }
  absl::Status ReopenLog(const std::string&, Deadline) override {
    return Call();
  }
  absl::Status Forget(const std::string& id, Deadline) override {
    PINION_RETURN_IF_ERROR(Call());
    return kernel_.Forget(pod_id_, id);
  }
  absl::Status Shutdown(Deadline) override {
    Close();
    kernel_.EndMonitor(pod_id_);
    return absl::OkStatus();
  }

 private:
  void Close() {
    kernel_.Disconnect(pod_id_, connection_);
    const std::lock_guard<std::recursive_mutex> open(connection_->mutex);
    connection_->closed = true;
  }

  // Unavailable is what a dead monitor answers.
  absl::Status Call() {
    if (lost()) return absl::UnavailableError("the pod monitor is gone");
    absl::Status status = kernel_.Call();
    if (absl::IsUnavailable(status)) kernel_.LoseMonitor(pod_id_);
    return status;
  }

  absl::StatusOr<monitor::Started> Run(const std::string& id) {
    const absl::Status status = Call();
    if (absl::IsFailedPrecondition(status)) {
      // It counts as ended until it is forgotten.
      (void)kernel_.AddProcess(pod_id_, id, "exec /nope: ENOENT");
    } else if (status.ok() || absl::IsDeadlineExceeded(status)) {
      // The late answer: it starts nevertheless.
      PINION_RETURN_IF_ERROR(kernel_.AddProcess(pod_id_, id, ""));
    }
    PINION_RETURN_IF_ERROR(status);
    monitor::Started started;
    started.started_at_ns = 1;
    return started;
  }

  FakeKernel& kernel_ = FakeKernel::Get();
  const std::string pod_id_;
  const FakeKernel::ConnectionPtr connection_;
};

}  // namespace
}  // namespace pinion::testing_support

namespace pinion::monitor {

using testing_support::FakeClient;
using testing_support::FakeKernel;

absl::StatusOr<std::unique_ptr<MonitorClient>> MonitorClient::Spawn(
    const SpawnOptions& options, os::Reactor& reactor, Callbacks callbacks) {
  FakeKernel& kernel = FakeKernel::Get();
  PINION_RETURN_IF_ERROR(kernel.Call());
  const auto connection =
      std::make_shared<FakeKernel::Connection>(reactor, std::move(callbacks));
  kernel.AddMonitor(options.pod_id, connection);
  return std::make_unique<FakeClient>(options.pod_id, connection);
}

absl::StatusOr<std::unique_ptr<MonitorClient>> MonitorClient::Clone(
    const SpawnOptions& options, MonitorTemplate&, os::Reactor& reactor,
    Callbacks callbacks) {
  return Spawn(options, reactor, std::move(callbacks));
}

absl::StatusOr<std::unique_ptr<MonitorClient>> MonitorClient::Reconnect(
    const std::string& pod_id, int, os::Reactor& reactor, Callbacks callbacks,
    std::vector<ContainerReport>* containers) {
  const auto connection =
      std::make_shared<FakeKernel::Connection>(reactor, std::move(callbacks));
  if (!FakeKernel::Get().Connect(pod_id, connection, containers)) {
    return absl::UnavailableError("nobody listens");
  }
  return std::make_unique<FakeClient>(pod_id, connection);
}

absl::StatusOr<std::unique_ptr<MonitorClient>> MonitorClient::BeginReconnect(
    const std::string& pod_id, int pod_dir_fd, os::Reactor& reactor,
    Callbacks callbacks, Answered answered) {
  std::vector<ContainerReport> reports;
  PINION_ASSIGN_OR_RETURN(
      auto client,
      Reconnect(pod_id, pod_dir_fd, reactor, std::move(callbacks), &reports));
  reactor.Post([answered, reports = std::move(reports)] { answered(reports); });
  return client;
}

absl::StatusOr<os::UniqueFd> OpenMonitorImage() { return os::UniqueFd(); }

}  // namespace pinion::monitor
