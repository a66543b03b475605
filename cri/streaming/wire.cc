#include "cri/streaming/wire.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace pinion::cri::streaming {
namespace {

using std::chrono::steady_clock;

// What comes after our goodbye does not matter.
class IgnorePeer final : public PeerEvents {
 public:
  bool OnOpen(StreamId, const StreamHeaders&) override { return false; }
  void OnData(StreamId, std::string_view) override {}
  void OnFinish(StreamId) override {}
  void OnReset(StreamId) override {}
};

}  // namespace

int PollTimeout(std::optional<Wire::TimePoint> deadline) {
  if (!deadline.has_value()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      *deadline - steady_clock::now());
  constexpr int64_t kMost = 24 * 3600 * 1000;
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, kMost));
}

Wire::Wire(std::unique_ptr<Transport> transport, std::unique_ptr<StreamMux> mux,
           int stop_fd, std::chrono::nanoseconds idle_timeout)
    : transport_(std::move(transport)),
      mux_(std::move(mux)),
      stop_fd_(stop_fd),
      idle_timeout_(idle_timeout),
      last_moved_(steady_clock::now()),
      last_probe_(last_moved_) {}

Wire::State Wire::Begin(std::string_view bytes, PeerEvents& events) {
  if (bytes.empty()) return State::kOpen;
  return Take(bytes, events);
}

Wire::State Wire::Turn(std::vector<pollfd>* fds, bool take_input,
                       std::optional<TimePoint> deadline, PeerEvents& events) {
  ProbeIfDue(take_input);
  const bool had_room = HasRoom();
  if (const State state = Flush(); state != State::kOpen) return state;
  // The caller left outputs out of `fds` for want of room: nobody would tell
  // of them, nor of a socket that everything has gone to.
  if (!had_room && HasRoom()) return State::kOpen;
  take_input = take_input && output_.size() < kOutputLimit;
  const bool buffered = take_input && transport_->HasBuffered();

  const size_t own = fds->size();
  pollfd socket = {transport_->fd(), POLLRDHUP, 0};
  if (take_input) socket.events |= transport_->poll_read();
  if (!output_.empty()) socket.events |= transport_->poll_write();
  fds->push_back(socket);
  fds->push_back({stop_fd_, POLLIN, 0});

  std::optional<TimePoint> until = IdleDeadline();
  if (deadline.has_value())
    until = std::min(until.value_or(*deadline), *deadline);
  if (!take_input) {
    const TimePoint probe = last_probe_ + kProbeInterval;
    until = std::min(until.value_or(probe), probe);
  }
  // EINTR and ENOMEM look like a turn in which nothing happened.
  if (poll(fds->data(), fds->size(), buffered ? 0 : PollTimeout(until)) < 0) {
    for (pollfd& fd : *fds) fd.revents = 0;
  }
  const short ready = (*fds)[own].revents;
  const bool stopped = (*fds)[own + 1].revents != 0;
  fds->resize(own);
  if (stopped) return State::kStopped;

  if (take_input && (buffered || ready != 0)) {
    if (const State state = Receive(events); state != State::kOpen) {
      return state;
    }
  } else if ((ready & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
    // Whoever hangs up while we cannot take what he sent is gone all the same.
    return State::kGone;
  }
  if (const State state = Flush(); state != State::kOpen) return state;
  const std::optional<TimePoint> idle = IdleDeadline();
  if (idle.has_value() && steady_clock::now() >= *idle) return State::kIdle;
  return State::kOpen;
}

std::optional<Wire::TimePoint> Wire::IdleDeadline() const {
  if (idle_timeout_ == idle_timeout_.zero()) return std::nullopt;
  return last_moved_ + idle_timeout_;
}

void Wire::ProbeIfDue(bool take_input) {
  const TimePoint now = steady_clock::now();
  if (take_input) last_probe_ = now;
  if (now - last_probe_ < kProbeInterval) return;
  last_probe_ = now;
  // Behind other output there is no need: that is refused as well. A probe
  // is no sign of life.
  if (!output_.empty() || mux_->PendingOutput() > 0) return;
  const TimePoint moved = last_moved_;
  mux_->Probe();
  (void)Flush();
  last_moved_ = moved;
}

Wire::State Wire::Receive(PeerEvents& events) {
  char buffer[kReadSize];
  size_t count = 0;
  switch (transport_->Read(buffer, sizeof(buffer), &count)) {
    case Transport::Result::kBlocked:
      return State::kOpen;
    case Transport::Result::kEnd:
      return State::kGone;
    case Transport::Result::kMoved:
      break;
  }
  last_moved_ = steady_clock::now();
  return Take(std::string_view(buffer, count), events);
}

Wire::State Wire::Take(std::string_view bytes, PeerEvents& events) {
  const absl::Status status = mux_->Receive(bytes, events);
  if (status.ok() && !mux_->PeerClosed()) return State::kOpen;
  if (!status.ok()) {
    Log(LogLevel::kWarning, "streaming client broke the protocol",
        {{"error", std::string(status.message())}});
  }
  // The protocol's own goodbye, which says why, as far as there is room.
  (void)Flush();
  return State::kGone;
}

Wire::State Wire::Flush() {
  mux_->TakeOutput(&output_);
  size_t sent = 0;
  State state = State::kOpen;
  while (sent < output_.size()) {
    size_t count = 0;
    const Transport::Result result =
        transport_->Write(output_.data() + sent, output_.size() - sent, &count);
    if (result == Transport::Result::kEnd) state = State::kGone;
    if (result != Transport::Result::kMoved) break;
    last_moved_ = steady_clock::now();
    sent += count;
  }
  output_.erase(0, sent);
  return state;
}

void Wire::Finish(std::chrono::nanoseconds patience) {
  IgnorePeer ignore;
  const TimePoint deadline = steady_clock::now() + patience;
  std::vector<pollfd> none;
  mux_->Close();
  State state = Flush();
  while (state == State::kOpen && !output_.empty() &&
         steady_clock::now() < deadline) {
    state = Turn(&none, true, deadline, ignore);
  }
  // Closing at once could take back what is still on its way: a socket with
  // unread input is reset (tcp(7)). So the client hangs up first.
  transport_->ShutdownWrite();
  while (state == State::kOpen && steady_clock::now() < deadline) {
    state = Turn(&none, true, deadline, ignore);
  }
}

}  // namespace pinion::cri::streaming
