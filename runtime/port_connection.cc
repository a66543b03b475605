#include "runtime/port_connection.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "os/error.h"

namespace pinion::runtime {

using std::chrono::steady_clock;

PortConnection::PortConnection(os::UniqueFd ipv4, os::UniqueFd ipv6,
                               uint16_t port, std::string pod)
    : ipv4_(std::move(ipv4)),
      ipv6_(std::move(ipv6)),
      port_(port),
      pod_(std::move(pod)) {}

int PortConnection::Begin() {
  deadline_ = steady_clock::now() + kTimeout;
  if (!socket().valid()) return EAFNOSUPPORT;
  sockaddr_storage address = {};
  socklen_t size = sizeof(sockaddr_in);
  if (state_ == State::kIpv4) {
    auto* ipv4 = reinterpret_cast<sockaddr_in*>(&address);
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(port_);
    ipv4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&address);
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons(port_);
    ipv6->sin6_addr = in6addr_loopback;
    size = sizeof(sockaddr_in6);
  }
  return connect(fd(), reinterpret_cast<const sockaddr*>(&address), size) == 0
             ? 0
             : errno;
}

int PortConnection::Continue() {
  pollfd writable = {fd(), POLLOUT, 0};
  if (poll(&writable, 1, 0) <= 0) {
    return steady_clock::now() >= deadline_ ? ETIMEDOUT : EINPROGRESS;
  }
  int error = 0;
  socklen_t length = sizeof(error);
  return getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error
                                                                      : errno;
}

std::optional<absl::StatusOr<os::UniqueFd>> PortConnection::Step() {
  int error = 0;
  if (state_ == State::kBegin) {
    state_ = State::kIpv4;
    error = Begin();
  } else {
    error = Continue();
  }
  if (state_ == State::kIpv4 && error != 0 && error != EINPROGRESS) {
    ipv4_error_ = error;
    ipv4_.Reset();
    state_ = State::kIpv6;
    error = Begin();
  }
  if (error == EINPROGRESS) return std::nullopt;
  if (error == 0) return std::move(socket());
  return absl::UnavailableError(absl::StrCat(
      "connect to port ", port_, " of pod sandbox ", pod_, ": 127.0.0.1: ",
      os::ErrnoName(ipv4_error_), ", ::1: ", os::ErrnoName(error)));
}

}  // namespace pinion::runtime
