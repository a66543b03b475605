// One client's connection under way: moves bytes between the socket and the
// mux, and waits, together with the descriptors of the session.
//
// Not thread-safe; the session's thread owns it.

#ifndef PINION_CRI_STREAMING_WIRE_H_
#define PINION_CRI_STREAMING_WIRE_H_

#include <poll.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cri/streaming/stream_mux.h"
#include "cri/streaming/transport.h"

namespace pinion::cri::streaming {

// Of what waits for a slow client. A session reads no more of its process or
// pod while the wire has more than kOutputRoom, and no more of the client
// while it has more than kOutputLimit (answers to pings) or the session says
// that its own buffers are full.
inline constexpr size_t kOutputRoom = 65536;
inline constexpr size_t kOutputLimit = 262144;
// While no input is taken, a client that has hung up is not seen: its end
// waits behind what it has sent. Then it is written to, which makes its
// kernel refuse (RFC 9293, 3.10.7.4).
inline constexpr std::chrono::seconds kProbeInterval{3};
// One read, of the client or of a process.
inline constexpr size_t kReadSize = 16384;

class Wire {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  enum class State {
    kOpen,
    kGone,     // the client hung up, or broke the protocol
    kIdle,     // nothing moved for the idle time-out
    kStopped,  // the server ends
  };

  // `stop_fd` is readable once the server ends.
  Wire(std::unique_ptr<Transport> transport, std::unique_ptr<StreamMux> mux,
       int stop_fd, std::chrono::nanoseconds idle_timeout);

  StreamMux& mux() { return *mux_; }
  bool HasRoom() const {
    return mux_->PendingOutput() + output_.size() < kOutputRoom;
  }

  // Bytes that came with the request's head.
  State Begin(std::string_view bytes, PeerEvents& events);

  // Waits until one of `fds` is ready, something arrived for `events`, output
  // left, or `deadline` has passed; never longer than the idle time-out.
  // Fills in `revents`. `take_input`: whether the session has room for what
  // the client sends.
  State Turn(std::vector<pollfd>* fds, bool take_input,
             std::optional<TimePoint> deadline, PeerEvents& events);

  // Says goodbye, sends what is left and waits for the client to hang up, but
  // no longer than `patience` in all.
  void Finish(std::chrono::nanoseconds patience);

 private:
  State Receive(PeerEvents& events);
  // What the client sent; what there is to answer is sent, too.
  State Take(std::string_view bytes, PeerEvents& events);
  State Flush();
  void ProbeIfDue(bool take_input);
  // nullopt: never.
  std::optional<TimePoint> IdleDeadline() const;

  const std::unique_ptr<Transport> transport_;
  const std::unique_ptr<StreamMux> mux_;
  const int stop_fd_;
  const std::chrono::nanoseconds idle_timeout_;
  TimePoint last_moved_;
  TimePoint last_probe_;
  std::string output_;
};

// For poll(2): milliseconds until then, rounded up, at least 0; -1 for never.
int PollTimeout(std::optional<Wire::TimePoint> deadline);

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_WIRE_H_
