#include "runtime/exec_process.h"

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "runtime/container_plan.h"
#include "runtime/launch/plan_writer.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

// The monitor answered: there is no process. Otherwise there may yet be one.
bool DidNotStart(const absl::Status& status) {
  return !absl::IsDeadlineExceeded(status) && !absl::IsUnavailable(status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExecProcess>> ExecProcess::Start(
    Context& context, const std::string& container_id,
    const std::vector<std::string>& command, const Stdio& stdio) {
  if (command.empty()) {
    return absl::InvalidArgumentError("exec: the command is empty");
  }
  PINION_ASSIGN_OR_RETURN(const ContainerPtr container,
                          context.objects.FindContainer(container_id));
  if (container->record.Get()->state() != state::CONTAINER_RUNNING) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", container->id, " is not running"));
  }
  std::unique_ptr<ExecProcess> process(new ExecProcess(context, *container));
  PINION_RETURN_IF_ERROR(process->Launch(*container, command, stdio));
  return process;
}

ExecProcess::ExecProcess(Context& context, const Container& container)
    : context_(context),
      id_(NewId()),
      cgroup_(context, container.pod->record.Get()->cgroup(), container.id,
              id_) {}

absl::Status ExecProcess::Launch(const Container& container,
                                 const std::vector<std::string>& command,
                                 const Stdio& stdio) {
  const auto client = container.pod->Monitor();
  if (client == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("pod sandbox ", container.pod->id, " has no monitor"));
  }
  PINION_ASSIGN_OR_RETURN(
      const launch::LaunchSpec spec,
      PlanExec(context_, *container.record.Get(), command, stdio.terminal));
  PINION_ASSIGN_OR_RETURN(entry_, context_.execs.Add(id_, container.pod->id));
  has_cgroup_ = true;
  PINION_ASSIGN_OR_RETURN_AS(const os::UniqueFd cgroup, cgroup_.Create(),
                             "make the exec's cgroup");
  monitor::ExecRequest request;
  request.container_id = container.id;
  request.exec_id = id_;
  request.plan = launch::EncodePlan(spec);
  request.terminal = stdio.terminal;
  request.cgroup_fd = cgroup.get();
  request.stdin_fd = stdio.input;
  request.stdout_fd = stdio.output;
  request.stderr_fd = stdio.error;
  may_run_ = true;
  auto started = client->Exec(request, MonitorDeadline());
  if (!started.ok()) {
    may_run_ = !DidNotStart(started.status());
    return started.status();
  }
  console_ = std::move(started->console);
  if (stdio.terminal && !console_.valid()) {
    return absl::ResourceExhaustedError(
        "receive the exec's terminal from the pod monitor: EMFILE");
  }
  return absl::OkStatus();
}

ExecProcess::~ExecProcess() {
  if (entry_ != nullptr) context_.execs.Remove(id_);
  if (!has_cgroup_) return;
  if (killed_ || (may_run_ && !Outcome().has_value())) {
    cgroup_.End();
  } else {
    cgroup_.Leave();
  }
}

std::optional<absl::StatusOr<int32_t>> ExecProcess::Outcome() const {
  const auto outcome = entry_->Outcome();
  if (!outcome.has_value()) return std::nullopt;
  if (!outcome->ok()) return outcome->status();
  return (*outcome)->exit_code;
}

absl::Status ExecProcess::Kill() {
  killed_ = true;
  return cgroup_.Kill();
}

}  // namespace pinion::runtime
