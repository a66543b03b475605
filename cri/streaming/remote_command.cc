#include "cri/streaming/remote_command.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cri/streaming/exit_status.h"

namespace pinion::cri::streaming {
namespace {

using runtime::ProcessStreams;
using std::chrono::steady_clock;

// Also the WebSocket's channel numbers.
enum Role : size_t { kStdin, kStdout, kStderr, kError, kResize, kRoles };
constexpr const char* kRoleNames[kRoles] = {"stdin", "stdout", "stderr",
                                            "error", "resize"};
// From this version on there is a resize stream.
constexpr int kResizeVersion = 3;
constexpr std::chrono::seconds kGoodbye{10};

class Session final : private PeerEvents {
 public:
  Session(Wire& wire, const Request& request, const Upgrade& upgrade,
          Backend& backend)
      : wire_(wire), request_(request), upgrade_(upgrade), backend_(backend) {}

  void Run(std::string_view early, std::chrono::nanoseconds creation_timeout);

 private:
  // An output of the process and where it goes.
  struct Output {
    Role role;
    bool open = false;
    size_t drained = 0;  // after the process's end
  };

  bool OnOpen(StreamId id, const StreamHeaders& headers) override;
  void OnData(StreamId id, std::string_view bytes) override;
  void OnFinish(StreamId id) override;
  void OnReset(StreamId id) override;

  bool AwaitStreams(std::string_view early, std::chrono::nanoseconds timeout);
  bool HasAllStreams() const;
  absl::Status Open();
  // Until the process has ended (true) or the session is over without.
  bool Relay();
  void WriteInput();
  // False once there is nothing more of this output.
  void ReadOutput(int fd, Output* output);
  bool MayRead(const Output& output) const;
  bool MayRead() const { return MayRead(outputs_[0]) || MayRead(outputs_[1]); }
  int OutputFd(const Output& output) const {
    return output.role == kStdout ? process_->output() : process_->error();
  }
  bool Drained() const;
  void CloseInputIfDone();
  void Resize();
  void Tell(const absl::StatusOr<int32_t>& outcome);

  bool Wanted(Role role) const;
  std::optional<Role> RoleOf(StreamId id) const;

  Wire& wire_;
  const Request& request_;
  const Upgrade& upgrade_;
  Backend& backend_;

  std::array<std::optional<StreamId>, kRoles> streams_;
  std::unique_ptr<ProcessStreams> process_;
  std::array<Output, 2> outputs_ = {Output{kStdout}, Output{kStderr}};
  std::string input_;
  bool input_finished_ = false;
  bool input_closed_ = false;
  std::string resize_;
  TerminalSize size_;
  bool ended_ = false;
  Wire::State state_ = Wire::State::kOpen;
};

bool Session::Wanted(Role role) const {
  switch (role) {
    case kStdin:
      return request_.streams.stdin_open;
    case kStdout:
      return request_.streams.stdout_open;
    case kStderr:
      return request_.streams.stderr_open;
    case kError:
      return true;
    default:
      return request_.streams.terminal && upgrade_.version >= kResizeVersion;
  }
}

std::optional<Role> Session::RoleOf(StreamId id) const {
  for (size_t role = 0; role < kRoles; ++role) {
    if (streams_[role] == id) return static_cast<Role>(role);
  }
  return std::nullopt;
}

bool Session::OnOpen(StreamId id, const StreamHeaders& headers) {
  const auto type = headers.find("streamtype");
  if (type == headers.end()) return false;
  for (size_t role = 0; role < kRoles; ++role) {
    if (type->second != kRoleNames[role]) continue;
    // Twice, or one that the request did not ask for. A resize stream that
    // has nothing to resize does no harm.
    if (streams_[role].has_value()) return false;
    if (!Wanted(static_cast<Role>(role)) && role != kResize) return false;
    streams_[role] = id;
    return true;
  }
  return false;
}

void Session::OnData(StreamId id, std::string_view bytes) {
  const std::optional<Role> role = RoleOf(id);
  if (role == kStdin && Wanted(kStdin) && !input_finished_ && !input_closed_) {
    input_ += bytes;
    return;
  }
  wire_.mux().Consumed(id, bytes.size());
  if (role != kResize) return;
  resize_ += bytes;
  if (TakeTerminalSize(&resize_, &size_)) Resize();
}

void Session::Resize() {
  // The first size may come before there is a terminal. A size that does not
  // fit is the client's loss only.
  if (process_ == nullptr || size_.rows == 0 || !request_.streams.terminal) {
    return;
  }
  (void)process_->Resize(size_.columns, size_.rows);
}

void Session::OnFinish(StreamId id) {
  if (RoleOf(id) == kStdin) input_finished_ = true;
}

void Session::OnReset(StreamId id) {
  const std::optional<Role> role = RoleOf(id);
  if (!role.has_value()) return;
  if (role == kStdin) input_finished_ = true;
  streams_[*role].reset();
}

bool Session::HasAllStreams() const {
  for (size_t role = 0; role < kRoles; ++role) {
    if (Wanted(static_cast<Role>(role)) && !streams_[role].has_value()) {
      return false;
    }
  }
  return true;
}

bool Session::AwaitStreams(std::string_view early,
                           std::chrono::nanoseconds timeout) {
  const Wire::TimePoint deadline = steady_clock::now() + timeout;
  if (upgrade_.carrier == Carrier::kWebSocketChannels) {
    for (StreamId role = 0; role < kRoles; ++role) streams_[role] = role;
    // The client learns that its channels are served.
    wire_.mux().Send(Wanted(kStdout)   ? kStdout
                     : Wanted(kStderr) ? kStderr
                                       : kError,
                     {});
  }
  state_ = wire_.Begin(early, *this);
  std::vector<pollfd> none;
  while (state_ == Wire::State::kOpen && !HasAllStreams()) {
    if (steady_clock::now() >= deadline) return false;
    state_ =
        wire_.Turn(&none, input_.size() < kMaxPendingInput, deadline, *this);
  }
  return state_ == Wire::State::kOpen;
}

absl::Status Session::Open() {
  PINION_ASSIGN_OR_RETURN(
      process_,
      request_.kind == Kind::kExec
          ? backend_.OpenExec(request_.id, request_.command, request_.streams)
          : backend_.OpenAttach(request_.id, request_.streams));
  for (Output& output : outputs_) output.open = OutputFd(output) >= 0;
  if (process_->input() < 0) input_closed_ = true;
  Resize();
  WriteInput();
  return absl::OkStatus();
}

void Session::WriteInput() {
  while (!input_.empty() && !input_closed_) {
    const ssize_t count =
        write(process_->input(), input_.data(), input_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      // EPIPE, EIO: nobody reads any more.
      process_->CloseInput();
      input_closed_ = true;
      break;
    }
    if (streams_[kStdin].has_value()) {
      wire_.mux().Consumed(*streams_[kStdin], static_cast<size_t>(count));
    }
    input_.erase(0, static_cast<size_t>(count));
  }
  if (input_closed_) input_.clear();
  CloseInputIfDone();
}

void Session::CloseInputIfDone() {
  if (!input_finished_ || input_closed_ || !input_.empty()) return;
  process_->CloseInput();
  input_closed_ = true;
}

bool Session::MayRead(const Output& output) const {
  if (!output.open || !wire_.HasRoom()) return false;
  const auto& stream = streams_[output.role];
  // A stream that the client has reset is read and dropped.
  return !stream.has_value() || wire_.mux().SendWindow(*stream) > 0;
}

void Session::ReadOutput(int fd, Output* output) {
  char buffer[kReadSize];
  const auto& stream = streams_[output->role];
  size_t most = sizeof(buffer);
  if (stream.has_value()) {
    most = std::min(most, wire_.mux().SendWindow(*stream));
  }
  const ssize_t count = read(fd, buffer, most);
  if (count > 0) {
    const auto size = static_cast<size_t>(count);
    if (stream.has_value()) {
      wire_.mux().Send(*stream, std::string_view(buffer, size));
    }
    if (ended_) output->drained += size;
    if (output->drained < kMaxDrain) return;
  } else if (count < 0 && errno == EINTR) {
    return;
  } else if (count < 0 && errno == EAGAIN && !ended_) {
    return;
  }
  // The end, EIO of a console; or of what is left after the process.
  output->open = false;
  if (stream.has_value()) wire_.mux().Finish(*stream);
}

bool Session::Drained() const {
  return std::none_of(outputs_.begin(), outputs_.end(),
                      [](const Output& output) { return output.open; });
}

bool Session::Relay() {
  const bool had_output = !Drained();
  while (state_ == Wire::State::kOpen) {
    std::vector<pollfd> fds;
    if (!ended_) fds.push_back({process_->ended_fd(), POLLIN, 0});
    if (!input_.empty() && !input_closed_) {
      fds.push_back({process_->input(), POLLOUT, 0});
    }
    for (const Output& output : outputs_) {
      if (MayRead(output)) fds.push_back({OutputFd(output), POLLIN, 0});
    }
    // After the end what is left is read without waiting for more.
    std::optional<Wire::TimePoint> deadline;
    if (ended_ && MayRead()) deadline = steady_clock::now();
    state_ =
        wire_.Turn(&fds, input_.size() < kMaxPendingInput, deadline, *this);
    WriteInput();
    if (state_ != Wire::State::kOpen) return false;
    if (!ended_ && process_->Outcome().has_value()) ended_ = true;
    for (Output& output : outputs_) {
      if (MayRead(output)) ReadOutput(OutputFd(output), &output);
    }
    // Whoever is cut off by the monitor, or attached to what has closed its
    // output, has nothing to wait for.
    if (Drained() &&
        (ended_ || (request_.kind == Kind::kAttach && had_output))) {
      return true;
    }
  }
  return false;
}

void Session::Tell(const absl::StatusOr<int32_t>& outcome) {
  StreamMux& mux = wire_.mux();
  if (streams_[kError].has_value()) {
    const std::string text = ExitText(upgrade_.version, outcome);
    if (!text.empty()) mux.Send(*streams_[kError], text);
  }
  for (const auto& stream : streams_) {
    if (stream.has_value()) mux.Finish(*stream);
  }
}

void Session::Run(std::string_view early,
                  std::chrono::nanoseconds creation_timeout) {
  if (!AwaitStreams(early, creation_timeout)) return;
  const absl::Status opened = Open();
  if (!opened.ok()) {
    Log(LogLevel::kWarning, "streaming session not opened",
        {{"kind", KindName(request_.kind)},
         {"container", request_.id},
         {"error", std::string(opened.message())}});
    Tell(opened);
  } else {
    if (!Relay()) {
      if (state_ != Wire::State::kStopped) return;
      // A client that only sees the end takes it for a success.
      process_.reset();
      Tell(absl::UnavailableError(
          "the container runtime is being stopped, the session with it"));
      return wire_.Finish(kGoodbye);
    }
    const auto outcome = process_->Outcome();
    // How the container ends is not the attached client's result; being cut
    // off from it is. Without an outcome it has closed its output.
    if (request_.kind == Kind::kAttach &&
        (!outcome.has_value() || outcome->ok())) {
      Tell(0);
    } else {
      Tell(*outcome);
    }
    // Before the goodbye, which may take as long as the client likes.
    process_.reset();
  }
  wire_.Finish(kGoodbye);
}

}  // namespace

void ServeRemoteCommand(Wire& wire, std::string_view early,
                        const Request& request, const Upgrade& upgrade,
                        Backend& backend,
                        std::chrono::nanoseconds creation_timeout) {
  Session(wire, request, upgrade, backend).Run(early, creation_timeout);
}

}  // namespace pinion::cri::streaming
