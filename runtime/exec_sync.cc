// ExecSync: run a command in a container, collect what it writes.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/pipe.h"
#include "runtime/exec_process.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

// CRI: "the output is limited to 16 MB per stream".
constexpr size_t kOutputLimit = size_t{16} << 20;
// From the kill of an exec that timed out to the report of its end.
constexpr std::chrono::seconds kKillDeadline(5);
constexpr std::chrono::seconds kLongestTimeout(365 * 24 * 3600);

// Of a pipe in one go: no pipe of ours holds more, and a writer that is as
// fast as we are must not keep us from the other one, nor from the clock.
constexpr int kReadsPerTurn = 16;

// Reads what is there. What exceeds the limit is dropped, so that the writer
// never blocks on us. Closes the pipe at its end.
void Drain(os::UniqueFd& pipe, std::string* data) {
  char buffer[65536];
  for (int i = 0; i < kReadsPerTurn && pipe.valid(); ++i) {
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
bool Collect(const ExecProcess& process, Streams& streams,
             std::optional<TimePoint> deadline, ExecResult* result) {
  while (true) {
    pollfd fds[3] = {{process.ended_fd(), POLLIN, 0},
                     {streams.out.get(), POLLIN, 0},
                     {streams.err.get(), POLLIN, 0}};
    const int timeout = PollTimeout(deadline);
    const int ready = poll(fds, 3, timeout);
    if (ready < 0 && errno != EINTR) return false;
    Drain(streams.out, &result->stdout_data);
    Drain(streams.err, &result->stderr_data);
    if (process.Outcome().has_value()) {
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

absl::Status Kill(ExecProcess& process, Streams& streams, ExecResult* result) {
  PINION_RETURN_IF_ERROR(process.Kill());
  if (!Collect(process, streams,
               std::chrono::steady_clock::now() + kKillDeadline, result)) {
    return absl::DeadlineExceededError(
        absl::StrCat("exec ", process.id(), " was killed, but its end is not ",
                     "reported; is the pod's monitor stopped?"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ExecProcess>> Start(
    Context& context, const std::string& id,
    const std::vector<std::string>& command, Streams* streams) {
  PINION_ASSIGN_OR_RETURN(os::Pipe out, os::MakePipe("exec"));
  PINION_ASSIGN_OR_RETURN(os::Pipe err, os::MakePipe("exec"));
  PINION_RETURN_IF_ERROR(os::SetNonBlocking(out.reader.get()));
  PINION_RETURN_IF_ERROR(os::SetNonBlocking(err.reader.get()));
  ExecProcess::Stdio stdio;
  stdio.output = out.writer.get();
  stdio.error = err.writer.get();
  *streams = {std::move(out.reader), std::move(err.reader)};
  return ExecProcess::Start(context, id, command, stdio);
}

}  // namespace

absl::StatusOr<ExecResult> ExecSync(Context& context, const std::string& id,
                                    const std::vector<std::string>& command,
                                    std::chrono::seconds timeout) {
  std::optional<TimePoint> deadline;
  if (timeout > std::chrono::seconds(0)) {
    deadline =
        std::chrono::steady_clock::now() + std::min(timeout, kLongestTimeout);
  }
  Streams streams;
  PINION_ASSIGN_OR_RETURN(const std::unique_ptr<ExecProcess> process,
                          Start(context, id, command, &streams));
  ExecResult result;
  if (!Collect(*process, streams, deadline, &result)) {
    PINION_RETURN_IF_ERROR(Kill(*process, streams, &result));
    return absl::DeadlineExceededError(
        absl::StrCat("command timed out after ", timeout.count(),
                     " s; it and its children were killed"));
  }
  // value_or: GCC 12 takes the value for uninitialized under TSan.
  const absl::StatusOr<int32_t> exit_code = *process->Outcome();
  PINION_RETURN_IF_ERROR(exit_code.status());
  result.exit_code = exit_code.value_or(0);
  return result;
}

}  // namespace pinion::runtime
