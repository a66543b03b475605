// Exec: a command in a container with its stdio in a client's hands.

#include <utility>

#include "base/status_macros.h"
#include "os/pipe.h"
#include "runtime/console.h"
#include "runtime/exec_process.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

absl::Status Check(const StreamOptions& options) {
  if (!options.stdin_open && !options.stdout_open && !options.stderr_open) {
    return absl::InvalidArgumentError(
        "exec: one of stdin, stdout and stderr must be open");
  }
  if (options.terminal && options.stderr_open) {
    return absl::InvalidArgumentError(
        "exec: a terminal has no stderr of its own");
  }
  return absl::OkStatus();
}

class ExecStreams final : public ProcessStreams {
 public:
  ExecStreams(std::unique_ptr<ExecProcess> process, os::UniqueFd input,
              os::UniqueFd output, os::UniqueFd error)
      : input_(std::move(input)),
        output_(std::move(output)),
        error_(std::move(error)),
        process_(std::move(process)) {}

  int input() const override { return input_.get(); }
  int output() const override { return output_.get(); }
  int error() const override { return error_.get(); }
  void CloseInput() override { input_.Reset(); }
  absl::Status Resize(uint16_t, uint16_t) override {
    return absl::FailedPreconditionError("the exec has no terminal");
  }
  int ended_fd() const override { return process_->ended_fd(); }
  std::optional<absl::StatusOr<int32_t>> Outcome() const override {
    return process_->Outcome();
  }

 private:
  os::UniqueFd input_;
  const os::UniqueFd output_;
  const os::UniqueFd error_;
  // Goes first: a client that leaves ends the whole tree, even if the process
  // itself is about to end of a closed pipe.
  const std::unique_ptr<ExecProcess> process_;
};

class TerminalStreams final : public ProcessStreams {
 public:
  TerminalStreams(std::unique_ptr<ExecProcess> process, os::UniqueFd console,
                  os::UniqueFd input, bool output)
      : console_(std::move(console)),
        input_(std::move(input)),
        has_output_(output),
        process_(std::move(process)) {}

  int input() const override { return input_.get(); }
  int output() const override { return has_output_ ? console_.get() : -1; }
  int error() const override { return -1; }
  void CloseInput() override {
    if (input_.valid()) TypeEndOfFile(input_.get());
    input_.Reset();
  }
  absl::Status Resize(uint16_t columns, uint16_t rows) override {
    return ResizeConsole(console_.get(), columns, rows);
  }
  int ended_fd() const override { return process_->ended_fd(); }
  std::optional<absl::StatusOr<int32_t>> Outcome() const override {
    return process_->Outcome();
  }

 private:
  const os::UniqueFd console_;
  os::UniqueFd input_;
  const bool has_output_;
  const std::unique_ptr<ExecProcess> process_;  // goes first
};

absl::StatusOr<std::unique_ptr<ProcessStreams>> OpenTerminal(
    Context& context, const std::string& id,
    const std::vector<std::string>& command, const StreamOptions& options) {
  ExecProcess::Stdio stdio;
  stdio.terminal = true;
  PINION_ASSIGN_OR_RETURN(std::unique_ptr<ExecProcess> process,
                          ExecProcess::Start(context, id, command, stdio));
  os::UniqueFd console = process->TakeConsole();
  PINION_RETURN_IF_ERROR(os::SetNonBlocking(console.get()));
  os::UniqueFd input;
  if (options.stdin_open) {
    PINION_ASSIGN_OR_RETURN(input, os::Duplicate(console.get()));
  }
  return std::make_unique<TerminalStreams>(std::move(process),
                                           std::move(console), std::move(input),
                                           options.stdout_open);
}

// What one stream of the exec needs: the child's end for the start, ours
// (non-blocking) for the session.
absl::Status OpenPipe(bool open, bool to_child, os::UniqueFd* child,
                      os::UniqueFd* ours) {
  if (!open) return absl::OkStatus();
  PINION_ASSIGN_OR_RETURN(os::Pipe pipe, os::MakePipe("exec"));
  *child = std::move(to_child ? pipe.reader : pipe.writer);
  *ours = std::move(to_child ? pipe.writer : pipe.reader);
  return os::SetNonBlocking(ours->get());
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessStreams>> OpenExec(
    Context& context, const std::string& id,
    const std::vector<std::string>& command, const StreamOptions& options) {
  PINION_RETURN_IF_ERROR(Check(options));
  if (options.terminal) return OpenTerminal(context, id, command, options);
  os::UniqueFd child[3];
  os::UniqueFd ours[3];
  PINION_RETURN_IF_ERROR(
      OpenPipe(options.stdin_open, true, &child[0], &ours[0]));
  PINION_RETURN_IF_ERROR(
      OpenPipe(options.stdout_open, false, &child[1], &ours[1]));
  PINION_RETURN_IF_ERROR(
      OpenPipe(options.stderr_open, false, &child[2], &ours[2]));
  const ExecProcess::Stdio stdio = {child[0].get(), child[1].get(),
                                    child[2].get(), false};
  PINION_ASSIGN_OR_RETURN(std::unique_ptr<ExecProcess> process,
                          ExecProcess::Start(context, id, command, stdio));
  return std::make_unique<ExecStreams>(std::move(process), std::move(ours[0]),
                                       std::move(ours[1]), std::move(ours[2]));
}

}  // namespace pinion::runtime
