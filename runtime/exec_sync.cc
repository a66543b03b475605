// ExecSync: run a command in a container, collect what it writes.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/container_plan.h"
#include "runtime/launch/plan_writer.h"
#include "runtime/operations.h"
#include "runtime/rollback.h"

namespace pinion::runtime {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

// CRI: "the output is limited to 16 MB per stream".
constexpr size_t kOutputLimit = size_t{16} << 20;
// From the kill of an exec that timed out to the report of its end.
constexpr std::chrono::seconds kKillDeadline(5);
constexpr std::chrono::seconds kLongestTimeout(365 * 24 * 3600);

struct Pipe {
  os::UniqueFd reader;
  os::UniqueFd writer;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return os::ErrnoStatus("pipe2 for exec");
  Pipe pipe{os::UniqueFd(fds[0]), os::UniqueFd(fds[1])};
  if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0) {
    return os::ErrnoStatus("fcntl O_NONBLOCK on exec's pipe");
  }
  return pipe;
}

// Reads what is there. What exceeds the limit is dropped, so that the writer
// never blocks on us. Closes the pipe at its end.
void Drain(os::UniqueFd& pipe, std::string* data) {
  char buffer[65536];
  while (pipe.valid()) {
    const ssize_t n = read(pipe.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      pipe.Reset();
      return;
    }
    const size_t room = kOutputLimit - data->size();
    data->append(buffer, std::min(room, static_cast<size_t>(n)));
  }
}

int PollTimeout(std::optional<TimePoint> deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      *deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
}

struct Streams {
  os::UniqueFd out;
  os::UniqueFd err;
};

// Collects output until the process has ended; false if the deadline came
// first. A grandchild that keeps a pipe open does not hold the call: after
// the end only what is already in the pipes is read.
bool Collect(const ExecTable::Entry& entry, Streams& streams,
             std::optional<TimePoint> deadline, ExecResult* result) {
  while (true) {
    pollfd fds[3] = {{entry.ended_fd(), POLLIN, 0},
                     {streams.out.get(), POLLIN, 0},
                     {streams.err.get(), POLLIN, 0}};
    const int timeout = PollTimeout(deadline);
    const int ready = poll(fds, 3, timeout);
    if (ready < 0 && errno != EINTR) return false;
    Drain(streams.out, &result->stdout_data);
    Drain(streams.err, &result->stderr_data);
    if (entry.Outcome().has_value()) {
      // What was written between the last read and the end.
      Drain(streams.out, &result->stdout_data);
      Drain(streams.err, &result->stderr_data);
      return true;
    }
    if (deadline && std::chrono::steady_clock::now() >= *deadline) {
      return false;
    }
  }
}

class ExecOperation {
 public:
  ExecOperation(Context& context, const Container& container)
      : context_(context),
        container_(container),
        id_(NewId()),
        pod_(container.pod->record.Get()) {}

  absl::StatusOr<ExecResult> Run(const std::vector<std::string>& command,
                                 std::chrono::seconds timeout);

 private:
  absl::Status Start(const std::vector<std::string>& command, Streams* streams);
  absl::Status Kill(Streams& streams, ExecResult* result);

  Context& context_;
  const Container& container_;
  const std::string id_;
  const RecordCell<state::PodRecord>::Snapshot pod_;
  std::shared_ptr<ExecTable::Entry> entry_;
};

absl::Status ExecOperation::Start(const std::vector<std::string>& command,
                                  Streams* streams) {
  const auto client = container_.pod->Monitor();
  if (client == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("pod sandbox ", pod_->id(), " has no monitor"));
  }
  PINION_ASSIGN_OR_RETURN(
      const launch::LaunchSpec spec,
      PlanExec(context_, *container_.record.Get(), command));
  PINION_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  PINION_ASSIGN_OR_RETURN(Pipe err, MakePipe());
  PINION_ASSIGN_OR_RETURN_AS(const os::UniqueFd cgroup,
                             context_.deps.container_cgroups->CreateExec(
                                 pod_->cgroup(), container_.id, id_),
                             "make the exec's cgroup");
  monitor::ExecRequest request;
  request.container_id = container_.id;
  request.exec_id = id_;
  request.plan = launch::EncodePlan(spec);
  request.cgroup_fd = cgroup.get();
  request.stdout_fd = out.writer.get();
  request.stderr_fd = err.writer.get();
  PINION_RETURN_IF_ERROR(client->Exec(request, MonitorDeadline()).status());
  *streams = {std::move(out.reader), std::move(err.reader)};
  return absl::OkStatus();
}

absl::Status ExecOperation::Kill(Streams& streams, ExecResult* result) {
  PINION_RETURN_IF_ERROR(context_.deps.container_cgroups->KillExec(
      pod_->cgroup(), container_.id, id_));
  if (!Collect(*entry_, streams,
               std::chrono::steady_clock::now() + kKillDeadline, result)) {
    return absl::DeadlineExceededError(
        absl::StrCat("exec ", id_, " was killed, but its end is not ",
                     "reported; is the pod's monitor stopped?"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExecResult> ExecOperation::Run(
    const std::vector<std::string>& command, std::chrono::seconds timeout) {
  Rollback cleanup;  // never committed: an exec always goes
  cleanup.Add([this] {
    context_.execs.Remove(id_);
    const absl::Status status = context_.deps.container_cgroups->RemoveExec(
        pod_->cgroup(), container_.id, id_);
    if (!status.ok()) {
      Log(LogLevel::kDebug, "an exec's cgroup stays until its container goes",
          {{"container", container_.id}, {"error", status.ToString()}});
    }
  });
  PINION_ASSIGN_OR_RETURN(entry_, context_.execs.Add(id_, pod_->id()));
  std::optional<TimePoint> deadline;
  if (timeout > std::chrono::seconds(0)) {
    deadline =
        std::chrono::steady_clock::now() + std::min(timeout, kLongestTimeout);
  }
  Streams streams;
  PINION_RETURN_IF_ERROR(Start(command, &streams));
  ExecResult result;
  if (!Collect(*entry_, streams, deadline, &result)) {
    PINION_RETURN_IF_ERROR(Kill(streams, &result));
    return absl::DeadlineExceededError(
        absl::StrCat("command timed out after ", timeout.count(),
                     " s; it and its children were killed"));
  }
  PINION_ASSIGN_OR_RETURN(const monitor::ExitRecord ended, *entry_->Outcome());
  result.exit_code = ended.exit_code;
  return result;
}

}  // namespace

absl::StatusOr<ExecResult> ExecSync(Context& context, const std::string& id,
                                    const std::vector<std::string>& command,
                                    std::chrono::seconds timeout) {
  if (command.empty()) {
    return absl::InvalidArgumentError("exec: the command is empty");
  }
  PINION_ASSIGN_OR_RETURN(const ContainerPtr container,
                          context.objects.FindContainer(id));
  if (container->record.Get()->state() != state::CONTAINER_RUNNING) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", container->id, " is not running"));
  }
  return ExecOperation(context, *container).Run(command, timeout);
}

}  // namespace pinion::runtime
