// A TCP connection into a pod while it is being made: to 127.0.0.1, and if
// that fails to ::1, each within kTimeout. Nothing here waits.
//
// Not thread-safe; one session owns it.

#ifndef PINION_RUNTIME_PORT_CONNECTION_H_
#define PINION_RUNTIME_PORT_CONNECTION_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::runtime {

class PortConnection {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  // On loopback a connection is made or refused at once, unless the listener's
  // queue is full.
  static constexpr std::chrono::seconds kTimeout{5};

  // Unconnected, non-blocking sockets of the pod's network namespace; invalid:
  // the kernel has no such protocol. `pod` is for messages.
  PortConnection(os::UniqueFd ipv4, os::UniqueFd ipv6, uint16_t port,
                 std::string pod);

  // Call it at first, then when fd() is writable (poll(2)) or deadline() has
  // passed. nullopt: not yet. Once: the connected socket, or Unavailable with
  // both reasons.
  std::optional<absl::StatusOr<os::UniqueFd>> Step();

  int fd() const { return socket().get(); }
  TimePoint deadline() const { return deadline_; }

 private:
  enum class State { kBegin, kIpv4, kIpv6 };

  os::UniqueFd& socket() { return state_ == State::kIpv6 ? ipv6_ : ipv4_; }
  const os::UniqueFd& socket() const {
    return state_ == State::kIpv6 ? ipv6_ : ipv4_;
  }
  // 0, EINPROGRESS or what went wrong.
  int Begin();
  int Continue();

  os::UniqueFd ipv4_;
  os::UniqueFd ipv6_;
  uint16_t port_;
  std::string pod_;
  State state_ = State::kBegin;
  int ipv4_error_ = 0;
  TimePoint deadline_;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_PORT_CONNECTION_H_
