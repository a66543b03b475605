#include "os/network_namespace.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
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

// /proc/sys/net is of the calling thread's namespace.
absl::Status IgnoreRouters() {
  if (!KernelHasIpv6()) return absl::OkStatus();
  const std::string path = "/proc/sys/net/ipv6/conf/default/accept_ra";
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(absl::StrCat("open ", path));
  if (write(fd.get(), "0", 1) != 1) {
    return ErrnoStatus(absl::StrCat("write ", path));
  }
  return absl::OkStatus();
}

// Leaves the calling thread in the new namespace.
absl::StatusOr<NetworkNamespace> Make(RouterAdvertisements advertisements) {
  if (unshare(CLONE_NEWNET) != 0) return ErrnoStatus("unshare CLONE_NEWNET");
  NetworkNamespace made;
  made.fd = UniqueFd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!made.fd.valid()) return ErrnoStatus("open /proc/thread-self/ns/net");
  made.route_socket =
      UniqueFd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!made.route_socket.valid()) return ErrnoStatus("socket netlink route");
  const absl::Status up = BringUpLoopback();
  if (!up.ok()) return up;
  if (advertisements == RouterAdvertisements::kIgnored) {
    const absl::Status ignored = IgnoreRouters();
    if (!ignored.ok()) return ignored;
  }
  return made;
}

}  // namespace

bool KernelHasIpv6() {
  // The module may be loaded at any time, and is never unloaded.
  static std::atomic<bool> seen = false;
  if (seen.load(std::memory_order_relaxed)) return true;
  if (access("/proc/sys/net/ipv6", F_OK) != 0) return false;
  seen.store(true, std::memory_order_relaxed);
  return true;
}

absl::StatusOr<NetworkNamespace> NewNetworkNamespace(
    RouterAdvertisements advertisements) {
  absl::StatusOr<NetworkNamespace> made;
  try {
    std::thread([&] { made = Make(advertisements); }).join();
  } catch (const std::system_error& error) {
    return ErrnoStatus(error.code().value(), "thread for a network namespace");
  }
  return made;
}

}  // namespace pinion::os
