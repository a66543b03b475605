#include "runtime/monitor/client_connection.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/status_macros.h"
#include "os/error.h"

namespace pinion::monitor {
namespace {

// Read in one go, so that one monitor cannot keep the reactor to itself.
constexpr int kMessagesPerTurn = 32;

absl::Status Lost() {
  return absl::UnavailableError("connection to the pod monitor is lost");
}

}  // namespace

absl::StatusOr<std::shared_ptr<ClientConnection>> ClientConnection::Create(
    os::UniqueFd socket, os::Reactor& reactor, Handlers handlers,
    bool expect_hang_up) {
  auto connection = std::shared_ptr<ClientConnection>(new ClientConnection(
      std::move(socket), reactor, std::move(handlers), expect_hang_up));
  // The reactor's copy keeps the object while a handler runs, even if that
  // handler gives up the last other one.
  PINION_RETURN_IF_ERROR(
      reactor.Add(connection->socket_.get(), EPOLLIN,
                  [connection](uint32_t) { connection->OnReady(); }));
  return connection;
}

ClientConnection::ClientConnection(os::UniqueFd socket, os::Reactor& reactor,
                                   Handlers handlers, bool expect_hang_up)
    : socket_(std::move(socket)),
      reactor_(reactor),
      handlers_(std::move(handlers)),
      expect_hang_up_(expect_hang_up) {}

uint64_t ClientConnection::NextSequence() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return ++last_sequence_;
}

ClientConnection::PendingCall::~PendingCall() {
  if (connection_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(connection_->mutex_);
  connection_->waiting_.erase(sequence_);
}

absl::StatusOr<std::unique_ptr<Incoming>> ClientConnection::Call(
    MessageWriter& message, uint64_t sequence, Deadline deadline,
    std::vector<std::unique_ptr<Incoming>>* reports) {
  PendingCall call;
  const absl::Status sent = Begin(message, sequence, deadline, &call);
  // What could not be sent may have been answered all the same: by a monitor
  // that ended.
  if (!sent.ok() && !call.sent()) return sent;
  auto answer = Await(&call, sent.ok() ? deadline : Deadline(), reports);
  return answer.ok() || sent.ok() ? std::move(answer) : sent;
}

absl::Status ClientConnection::Begin(MessageWriter& message, uint64_t sequence,
                                     Deadline deadline, PendingCall* call) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::kOpen) return Lost();
    call->connection_ = shared_from_this();
    call->sequence_ = sequence;
    waiting_[sequence] = call;
  }
  return Send(message, deadline);
}

absl::StatusOr<std::unique_ptr<Incoming>> ClientConnection::Await(
    PendingCall* call, Deadline deadline,
    std::vector<std::unique_ptr<Incoming>>* reports) {
  std::unique_lock<std::mutex> lock(mutex_);
  call->changed_.wait_until(lock, deadline, [&] {
    return call->answer_ != nullptr || state_ != State::kOpen;
  });
  waiting_.erase(call->sequence_);
  if (call->answer_ != nullptr) {
    if (reports != nullptr) *reports = std::move(call->reports_);
    return std::move(call->answer_);
  }
  if (state_ != State::kOpen) return Lost();
  return absl::DeadlineExceededError("pod monitor does not answer");
}

absl::Status ClientConnection::CallLater(MessageWriter& message,
                                         uint64_t sequence, Answered answered) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::kOpen) return Lost();
    later_ = Later{sequence, std::move(answered), {}};
  }
  return Send(message, std::chrono::steady_clock::now());
}

absl::Status ClientConnection::Send(MessageWriter& message, Deadline deadline) {
  const std::string_view bytes = message.Finish();
  if (bytes.empty()) {
    return absl::InvalidArgumentError("request to the pod monitor is too long");
  }
  while (true) {
    const int error =
        SendMessage(socket_.get(), bytes, message.fds(), message.fd_count());
    if (error == 0) return absl::OkStatus();
    if (error != EAGAIN) {
      return error == EPIPE || error == ECONNRESET
                 ? Lost()
                 : os::ErrnoStatus(error, "send to the pod monitor");
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return absl::DeadlineExceededError("pod monitor does not read");
    }
    constexpr int64_t kLongestMs = 3'600'000;
    pollfd writable = {socket_.get(), POLLOUT, 0};
    poll(&writable, 1,
         static_cast<int>(std::min<int64_t>(left.count(), kLongestMs)));
  }
}

bool ClientConnection::Post(MessageWriter& message) {
  const std::string_view bytes = message.Finish();
  return SendMessage(socket_.get(), bytes, nullptr, 0) == 0;
}

void ClientConnection::OnReady() {
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    if (!ReceiveOne()) return;
  }
}

bool ClientConnection::ReceiveOne() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::kOpen) return false;
  }
  char buffer[kMaxMessage];
  auto message = std::make_unique<Incoming>();
  const int64_t size =
      ReceiveMessage(socket_.get(), buffer, sizeof(buffer), &message->fds);
  // Of the daemon's own, and passing: the reactor asks again.
  if (size == -EAGAIN || size == -ENOMEM || size == -ENOBUFS) return false;
  // It died with requests unread: what it had sent before is still there.
  if (size == -ECONNRESET) return true;
  if (size > 0) {
    message->bytes.assign(buffer, static_cast<size_t>(size));
    if (message->reader.Parse(message->bytes.data(), message->bytes.size())) {
      Dispatch(std::move(message));
      return true;
    }
  }
  HangUp();
  return false;
}

void ClientConnection::Dispatch(std::unique_ptr<Incoming> message) {
  const uint64_t sequence = message->reader.sequence();
  if (sequence == 0) {
    if (message->reader.type() ==
        static_cast<uint16_t>(MessageType::kReplaced)) {
      ExpectHangUp();
    }
    handlers_.on_event(message->reader);
    return;
  }
  const bool report =
      message->reader.type() == static_cast<uint16_t>(MessageType::kReport);
  std::unique_lock<std::mutex> lock(mutex_);
  if (later_.has_value() && later_->sequence == sequence) {
    if (report) {
      later_->reports.push_back(std::move(message));
      return;
    }
    Later later = *std::exchange(later_, std::nullopt);
    lock.unlock();
    later.answered(std::move(message), std::move(later.reports));
    return;
  }
  const auto found = waiting_.find(sequence);
  if (found == waiting_.end()) return;  // Late: nobody waits any more.
  PendingCall* waiting = found->second;
  if (report) {
    waiting->reports_.push_back(std::move(message));
    return;
  }
  waiting->answer_ = std::move(message);
  waiting->changed_.notify_all();
}

void ClientConnection::HangUp() {
  // Level-triggered: the end would be reported for ever.
  reactor_.Remove(socket_.get());
  bool tell = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::kOpen) return;
    state_ = State::kHungUp;
    later_.reset();
    tell = !expect_hang_up_;
    for (const auto& [sequence, waiting] : waiting_) {
      waiting->changed_.notify_all();
    }
    state_changed_.notify_all();
  }
  if (tell) handlers_.on_hang_up();
}

bool ClientConnection::WaitForHangUp(Deadline deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  return state_changed_.wait_until(lock, deadline,
                                   [this] { return state_ != State::kOpen; });
}

bool ClientConnection::hung_up() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state_ == State::kHungUp;
}

void ClientConnection::ExpectHangUp() {
  const std::lock_guard<std::mutex> lock(mutex_);
  expect_hang_up_ = true;
}

bool ClientConnection::DoNotExpectHangUp() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kOpen) return false;
  expect_hang_up_ = false;
  return true;
}

void ClientConnection::Close() {
  reactor_.Remove(socket_.get());
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kOpen) return;
  state_ = State::kClosed;
  later_.reset();
  // The monitor learns of it now, whoever still holds this object.
  shutdown(socket_.get(), SHUT_RDWR);
  for (const auto& [sequence, waiting] : waiting_) {
    waiting->changed_.notify_all();
  }
  state_changed_.notify_all();
}

}  // namespace pinion::monitor
