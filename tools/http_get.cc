#include "tools/http_get.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "metrics/socket_address.h"
#include "os/error.h"
#include "os/unique_fd.h"

namespace pinion::tools {
namespace {

using Deadline = std::chrono::steady_clock::time_point;

constexpr size_t kLargestAnswer = 16 << 20;

absl::Status Await(int fd, short events, Deadline deadline,
                   const std::string& where) {
  pollfd ready = {fd, events, 0};
  int n = 0;
  do {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    n = left.count() <= 0 ? 0 : poll(&ready, 1, static_cast<int>(left.count()));
    // Of a signal's handler, which SA_RESTART does not help (signal(7)).
  } while (n < 0 && errno == EINTR);
  if (n < 0) return os::ErrnoStatus(absl::StrCat("poll ", where));
  if (n == 0) {
    return absl::DeadlineExceededError(absl::StrCat(where, " does not answer"));
  }
  return absl::OkStatus();
}

absl::Status ConnectTo(int fd, const metrics::SocketAddress& address,
                       Deadline deadline, const std::string& where) {
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address.storage),
              address.size) == 0) {
    return absl::OkStatus();
  }
  if (errno != EINPROGRESS) {
    return os::ErrnoStatus(absl::StrCat("connect ", where));
  }
  PINION_RETURN_IF_ERROR(Await(fd, POLLOUT, deadline, where));
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? absl::OkStatus()
                    : os::ErrnoStatus(error, absl::StrCat("connect ", where));
}

}  // namespace

absl::StatusOr<std::string> HttpGet(const std::string& ip, uint16_t port,
                                    const std::string& path,
                                    std::chrono::milliseconds timeout) {
  const Deadline deadline = std::chrono::steady_clock::now() + timeout;
  const bool v6 = absl::StrContains(ip, ":");
  const std::string where =
      absl::StrCat(v6 ? "[" : "", ip, v6 ? "]" : "", ":", port);
  PINION_ASSIGN_OR_RETURN(const auto address,
                          metrics::ParseSocketAddress(where));
  const os::UniqueFd fd(socket(address.storage.ss_family,
                               SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return os::ErrnoStatus("socket");
  PINION_RETURN_IF_ERROR(ConnectTo(fd.get(), address, deadline, where));
  const std::string request =
      absl::StrCat("GET ", path, " HTTP/1.0\r\nHost: ", where, "\r\n\r\n");
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return os::ErrnoStatus(absl::StrCat("send to ", where));
  }
  std::string answer;
  char buffer[16384];
  while (answer.size() < kLargestAnswer) {
    PINION_RETURN_IF_ERROR(Await(fd.get(), POLLIN, deadline, where));
    const ssize_t n = recv(fd.get(), buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EAGAIN) continue;
    if (n < 0) return os::ErrnoStatus(absl::StrCat("receive from ", where));
    if (n == 0) break;
    answer.append(buffer, static_cast<size_t>(n));
  }
  const std::string status = answer.substr(0, answer.find("\r\n"));
  if (!absl::StrContains(status, " 200")) {
    return absl::FailedPreconditionError(
        absl::StrCat(where, " answers \"", status, "\""));
  }
  const size_t body = answer.find("\r\n\r\n");
  return body == std::string::npos ? std::string() : answer.substr(body + 4);
}

}  // namespace pinion::tools
