// Attach: a client of a running container's own stdio.

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/pipe.h"
#include "runtime/console.h"
#include "runtime/monitor/messages.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

absl::StatusOr<int32_t> OutcomeOf(const monitor::AttachEnd& end) {
  if (end.reason == monitor::AttachEnd::kEnded) return end.exit_code;
  return absl::ResourceExhaustedError(
      "detached: the client did not read the container's output for too long");
}

class AttachStreams final : public ProcessStreams {
 public:
  struct Fds {
    os::UniqueFd input;
    os::UniqueFd output;
    os::UniqueFd error;
    os::UniqueFd control;
    os::UniqueFd console;
  };
  explicit AttachStreams(Fds fds) : fds_(std::move(fds)) {}

  int input() const override { return fds_.input.get(); }
  int output() const override { return fds_.output.get(); }
  int error() const override { return fds_.error.get(); }
  void CloseInput() override { fds_.input.Reset(); }

  absl::Status Resize(uint16_t columns, uint16_t rows) override {
    if (!fds_.console.valid()) {
      return absl::FailedPreconditionError("the container has no terminal");
    }
    return ResizeConsole(fds_.console.get(), columns, rows);
  }

  int ended_fd() const override { return fds_.control.get(); }

  std::optional<absl::StatusOr<int32_t>> Outcome() const override {
    const absl::MutexLock lock(&mutex_);
    if (outcome_.has_value()) return outcome_;
    monitor::AttachEnd end;
    // Taken only when it is there whole, so that ended_fd stays readable: by
    // the end of file behind it.
    const ssize_t size = read(fds_.control.get(), &end, sizeof(end));
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
    if (size == static_cast<ssize_t>(sizeof(end))) {
      outcome_ = OutcomeOf(end);
    } else {
      outcome_ = absl::UnavailableError("the pod's monitor is gone");
    }
    return outcome_;
  }

 private:
  Fds fds_;
  mutable absl::Mutex mutex_;
  mutable std::optional<absl::StatusOr<int32_t>> outcome_
      ABSL_GUARDED_BY(mutex_);
};

absl::Status Check(const state::ContainerRecord& container,
                   const StreamOptions& options) {
  if (!options.stdin_open && !options.stdout_open && !options.stderr_open) {
    return absl::InvalidArgumentError(
        "attach: one of stdin, stdout and stderr must be open");
  }
  if (options.terminal && options.stderr_open) {
    return absl::InvalidArgumentError(
        "attach: a terminal has no stderr of its own");
  }
  if (container.state() != state::CONTAINER_RUNNING) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", container.id(), " is not running"));
  }
  if (options.terminal != container.spec().tty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("attach: container ", container.id(), " has ",
                     options.terminal ? "no" : "a",
                     " terminal, which the request must say"));
  }
  return absl::OkStatus();
}

// A pipe from the monitor: its end in *theirs, ours (non-blocking) in *ours.
absl::Status OpenPipe(os::UniqueFd* theirs, os::UniqueFd* ours) {
  PINION_ASSIGN_OR_RETURN(os::Pipe pipe, os::MakePipe("attach"));
  PINION_RETURN_IF_ERROR(os::SetNonBlocking(pipe.reader.get()));
  *theirs = std::move(pipe.writer);
  *ours = std::move(pipe.reader);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessStreams>> OpenAttach(
    Context& context, const std::string& id, const StreamOptions& options) {
  PINION_ASSIGN_OR_RETURN(const ContainerPtr container,
                          context.objects.FindContainer(id));
  const auto record = container->record.Get();
  PINION_RETURN_IF_ERROR(Check(*record, options));
  const auto client = container->pod->Monitor();
  if (client == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("pod sandbox ", container->pod->id, " has no monitor"));
  }
  AttachStreams::Fds ours;
  os::UniqueFd output;
  os::UniqueFd error;
  os::UniqueFd control;
  PINION_RETURN_IF_ERROR(OpenPipe(&control, &ours.control));
  if (options.stdout_open) {
    PINION_RETURN_IF_ERROR(OpenPipe(&output, &ours.output));
  }
  if (options.stderr_open) {
    PINION_RETURN_IF_ERROR(OpenPipe(&error, &ours.error));
  }
  monitor::AttachRequest request;
  request.container_id = container->id;
  request.open_stdin = options.stdin_open && record->spec().stdin();
  request.stdout_fd = output.get();
  request.stderr_fd = error.get();
  request.control_fd = control.get();
  PINION_ASSIGN_OR_RETURN(monitor::Attached attached,
                          client->Attach(request, MonitorDeadline()));
  ours.input = std::move(attached.input);
  ours.console = std::move(attached.console);
  if (request.open_stdin && ours.console.valid()) {
    PINION_ASSIGN_OR_RETURN(ours.input, os::Duplicate(ours.console.get()));
  }
  return std::make_unique<AttachStreams>(std::move(ours));
}

}  // namespace pinion::runtime
