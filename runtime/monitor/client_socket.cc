#include "runtime/monitor/client_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/monitor/inherited.h"

namespace pinion::monitor {
namespace {

sockaddr_un AddressIn(int pod_dir_fd) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path =
      absl::StrCat(os::FdPath(pod_dir_fd), "/", kSocketName);
  std::copy(path.begin(), path.end(), address.sun_path);
  return address;
}

absl::StatusOr<os::UniqueFd> NewSocket() {
  os::UniqueFd fd(
      socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return os::ErrnoStatus("socket for pod monitor");
  return fd;
}

}  // namespace

absl::StatusOr<os::UniqueFd> ListenForMonitor(int pod_dir_fd) {
  auto fd = NewSocket();
  if (!fd.ok()) return fd.status();
  if (unlinkat(pod_dir_fd, kSocketName, 0) != 0 && errno != ENOENT) {
    return os::ErrnoStatus(absl::StrCat("unlink ", kSocketName));
  }
  const sockaddr_un address = AddressIn(pod_dir_fd);
  if (bind(fd->get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0) {
    return os::ErrnoStatus(absl::StrCat("bind ", kSocketName));
  }
  if (fchmodat(pod_dir_fd, kSocketName, 0600, 0) != 0) {
    return os::ErrnoStatus(absl::StrCat("chmod ", kSocketName));
  }
  if (listen(fd->get(), kBacklog) != 0) {
    return os::ErrnoStatus(absl::StrCat("listen on ", kSocketName));
  }
  return fd;
}

absl::StatusOr<os::UniqueFd> ConnectToMonitor(int pod_dir_fd) {
  auto fd = NewSocket();
  if (!fd.ok()) return fd.status();
  const sockaddr_un address = AddressIn(pod_dir_fd);
  if (connect(fd->get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) == 0) {
    return fd;
  }
  const int error = errno;
  const std::string what = absl::StrCat("connect to ", kSocketName);
  // Its backlog is full: it lives, but has not accepted for long.
  if (error == EAGAIN) {
    return absl::DeadlineExceededError(absl::StrCat(what, ": EAGAIN"));
  }
  if (error == ENOENT || error == ECONNREFUSED) {
    return absl::UnavailableError(
        absl::StrCat(what, ": ", os::ErrnoName(error)));
  }
  return os::ErrnoStatus(error, what);
}

}  // namespace pinion::monitor
