// The daemon's end of a monitor's socket: requests of several threads at
// once, matched to their answers by sequence number.
//
// Thread-safe. Handlers run on the reactor's thread with no lock held.

#ifndef PINION_RUNTIME_MONITOR_CLIENT_CONNECTION_H_
#define PINION_RUNTIME_MONITOR_CLIENT_CONNECTION_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/reactor.h"
#include "os/unique_fd.h"
#include "runtime/monitor/messages.h"
#include "runtime/monitor/protocol.h"

namespace pinion::monitor {

// A message that came in, and its descriptors (closed with it).
struct Incoming {
  std::string bytes;
  MessageReader reader;  // of `bytes`
  ReceivedFds fds;
};

class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  // steady_clock: a step of the wall clock must not change a time-out, so the
  // standard's condition variable and not Abseil's.
  using Deadline = std::chrono::steady_clock::time_point;

  struct Handlers {
    // What nobody asked for.
    std::function<void(const MessageReader& message)> on_event;
    // Once, when the monitor's end is gone; not after Close.
    std::function<void()> on_hang_up;
  };

  // Starts receiving from the connected, non-blocking `socket`.
  static absl::StatusOr<std::shared_ptr<ClientConnection>> Create(
      os::UniqueFd socket, os::Reactor& reactor, Handlers handlers,
      bool expect_hang_up = false);

  // A request that has been sent and whose answer is waited for later, or
  // never: the destructor forgets it. Outlives nothing but the connection's
  // users, which it keeps alive. Not thread-safe by itself.
  class PendingCall {
   public:
    PendingCall() = default;
    ~PendingCall();
    PendingCall(const PendingCall&) = delete;
    PendingCall& operator=(const PendingCall&) = delete;

    bool sent() const { return connection_ != nullptr; }

   private:
    friend class ClientConnection;
    std::shared_ptr<ClientConnection> connection_;
    uint64_t sequence_ = 0;
    // Guarded by the connection's mutex.
    std::condition_variable changed_;
    std::unique_ptr<Incoming> answer_;
    std::vector<std::unique_ptr<Incoming>> reports_;
  };

  uint64_t NextSequence();

  // Sends `message` (made with a NextSequence) and waits for its answer.
  // DeadlineExceeded leaves the connection as it was: a late answer is dropped
  // and its descriptors are closed. Unavailable: the connection is lost.
  // `reports` receives messages that precede the answer.
  absl::StatusOr<std::unique_ptr<Incoming>> Call(
      MessageWriter& message, uint64_t sequence, Deadline deadline,
      std::vector<std::unique_ptr<Incoming>>* reports = nullptr);

  // On the reactor's thread: an answer, and the messages that preceded it.
  using Answered =
      std::function<void(std::unique_ptr<Incoming> answer,
                         std::vector<std::unique_ptr<Incoming>> reports)>;
  // Sends without waiting; `answered` is called once when the answer comes,
  // however late, and never if the connection ends first. One at a time.
  absl::Status CallLater(MessageWriter& message, uint64_t sequence,
                         Answered answered);

  // The two halves of Call, so that the caller can do something in between.
  absl::Status Begin(MessageWriter& message, uint64_t sequence,
                     Deadline deadline, PendingCall* call);
  absl::StatusOr<std::unique_ptr<Incoming>> Await(
      PendingCall* call, Deadline deadline,
      std::vector<std::unique_ptr<Incoming>>* reports = nullptr);

  // Sends what has no answer. False if the peer does not read now.
  bool Post(MessageWriter& message);

  // Waits until the monitor's end is gone. False at the deadline.
  bool WaitForHangUp(Deadline deadline);

  bool hung_up() const;

  // From now on a hang-up is expected and calls nobody.
  void ExpectHangUp();
  // From now on it calls on_hang_up again. False: it has happened already, and
  // nobody was called.
  bool DoNotExpectHangUp();

  // No handler runs afterwards (or, called by a handler, no further one);
  // waiting calls fail.
  void Close();

 private:
  struct Later {
    uint64_t sequence;
    Answered answered;
    std::vector<std::unique_ptr<Incoming>> reports;
  };
  enum class State { kOpen, kHungUp, kClosed };

  ClientConnection(os::UniqueFd socket, os::Reactor& reactor, Handlers handlers,
                   bool expect_hang_up);

  void OnReady();
  // False when there is nothing more to read now.
  bool ReceiveOne();
  void Dispatch(std::unique_ptr<Incoming> message);
  void HangUp();
  absl::Status Send(MessageWriter& message, Deadline deadline);

  const os::UniqueFd socket_;
  os::Reactor& reactor_;
  const Handlers handlers_;

  mutable std::mutex mutex_;  // guards what follows
  State state_ = State::kOpen;
  bool expect_hang_up_;
  uint64_t last_sequence_ = 0;
  std::map<uint64_t, PendingCall*> waiting_;
  std::optional<Later> later_;
  std::condition_variable state_changed_;
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_CLIENT_CONNECTION_H_
