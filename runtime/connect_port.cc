// Port forwarding's way into a pod: a connection made from inside its network
// namespace. The monitor makes the socket, which belongs to the namespace it
// was made in; so nobody here calls setns.

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

// On loopback a connection is made or refused at once, unless the listener's
// queue is full.
constexpr std::chrono::milliseconds kConnectTimeout(5000);

// 0 or errno.
int Connect(int socket, const sockaddr* address, socklen_t size) {
  if (connect(socket, address, size) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd writable = {socket, POLLOUT, 0};
  int ready = 0;
  do {
    ready = poll(&writable, 1, static_cast<int>(kConnectTimeout.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return ready == 0 ? ETIMEDOUT : errno;
  int error = 0;
  socklen_t length = sizeof(error);
  return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error
                                                                        : errno;
}

int ConnectIpv4(int socket, uint16_t port) {
  if (socket < 0) return EAFNOSUPPORT;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return Connect(socket, reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address));
}

int ConnectIpv6(int socket, uint16_t port) {
  if (socket < 0) return EAFNOSUPPORT;
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_addr = in6addr_loopback;
  return Connect(socket, reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address));
}

}  // namespace

absl::StatusOr<os::UniqueFd> ConnectPort(Context& context,
                                         const std::string& pod_id,
                                         uint16_t port) {
  if (port == 0) return absl::InvalidArgumentError("port 0 is no port");
  PINION_ASSIGN_OR_RETURN(const PodPtr pod, context.objects.FindPod(pod_id));
  if (pod->record.Get()->state() != state::POD_READY) {
    return absl::FailedPreconditionError(
        absl::StrCat("pod sandbox ", pod->id, " is not ready"));
  }
  const auto client = pod->Monitor();
  if (client == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("pod sandbox ", pod->id, " has no monitor"));
  }
  PINION_ASSIGN_OR_RETURN(monitor::TcpSockets sockets,
                          client->MakeSockets(MonitorDeadline()));
  const int first = ConnectIpv4(sockets.ipv4.get(), port);
  if (first == 0) return std::move(sockets.ipv4);
  const int second = ConnectIpv6(sockets.ipv6.get(), port);
  if (second == 0) return std::move(sockets.ipv6);
  return absl::UnavailableError(absl::StrCat(
      "connect to port ", port, " of pod sandbox ", pod->id,
      ": 127.0.0.1: ", os::ErrnoName(first), ", ::1: ", os::ErrnoName(second)));
}

}  // namespace pinion::runtime
