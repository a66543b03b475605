#include "os/network_namespace.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "os/error.h"

namespace pinion::os {
namespace {

absl::Status BringUpLoopback() {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoStatus("socket for lo");
  ifreq request = {};
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) {
    return ErrnoStatus("SIOCSIFFLAGS lo");
  }
  return absl::OkStatus();
}

// Leaves the calling thread in the new namespace.
absl::StatusOr<NetworkNamespace> Make() {
  if (unshare(CLONE_NEWNET) != 0) return ErrnoStatus("unshare CLONE_NEWNET");
  NetworkNamespace made;
  made.fd = UniqueFd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!made.fd.valid()) return ErrnoStatus("open /proc/thread-self/ns/net");
  made.route_socket =
      UniqueFd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!made.route_socket.valid()) return ErrnoStatus("socket netlink route");
  const absl::Status up = BringUpLoopback();
  if (!up.ok()) return up;
  return made;
}

}  // namespace

absl::StatusOr<NetworkNamespace> NewNetworkNamespace() {
  absl::StatusOr<NetworkNamespace> made;
  try {
    std::thread([&made] { made = Make(); }).join();
  } catch (const std::system_error& error) {
    return ErrnoStatus(error.code().value(), "thread for a network namespace");
  }
  return made;
}

}  // namespace pinion::os
