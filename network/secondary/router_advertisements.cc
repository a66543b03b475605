#include "network/secondary/router_advertisements.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "os/error.h"
#include "os/unique_fd.h"

namespace pinion::network {
namespace {

// Leaves the calling thread in the namespace.
absl::Status WriteInside(int netns_fd, const std::string& interface) {
  if (setns(netns_fd, CLONE_NEWNET) != 0) {
    return os::ErrnoStatus("setns of the pod's network namespace");
  }
  const std::string path =
      absl::StrCat("/proc/sys/net/ipv6/conf/", interface, "/accept_ra");
  const os::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return errno == ENOENT ? absl::OkStatus()
                           : os::ErrnoStatus(absl::StrCat("open ", path));
  }
  if (write(fd.get(), "0", 1) != 1) {
    return os::ErrnoStatus(absl::StrCat("write ", path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status IgnoreRouterAdvertisements(int netns_fd,
                                        const std::string& interface) {
  absl::Status status;
  try {
    std::thread([&] { status = WriteInside(netns_fd, interface); }).join();
  } catch (const std::system_error& error) {
    return os::ErrnoStatus(error.code().value(),
                           "thread for a pod's network namespace");
  }
  return status;
}

}  // namespace pinion::network
