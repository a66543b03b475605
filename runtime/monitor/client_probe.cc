#include <fcntl.h>

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/spawn.h"
#include "runtime/monitor/client.h"
#include "runtime/monitor/inherited.h"
#include "runtime/monitor/user_namespace_probe.h"

namespace pinion::monitor {
namespace {

// The daemon does not serve before it is known.
constexpr std::chrono::seconds kLimit(10);

}  // namespace

absl::Status CheckUserNamespaces(int image_fd, const std::string& root) {
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd null,
                          os::OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  os::SpawnSpec spec;
  spec.path = absl::StrCat("/proc/self/fd/", kImageFd);
  spec.argv = {"pinion-monitor", kProbeOption, root};
  spec.fds.assign(kInheritedFds, null.get());
  spec.fds[kImageFd] = image_fd;
  PINION_ASSIGN_OR_RETURN(const os::SpawnedProcess process, os::Spawn(spec));
  PINION_ASSIGN_OR_RETURN_AS(
      const int code,
      os::AwaitEnd(process, std::chrono::steady_clock::now() + kLimit),
      "try user namespaces");
  if (code == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "no user namespaces here: map the ids of ", root,
      " and mount an overlay of it (needs Linux 5.19 and a file system that "
      "supports id-mapped mounts): ",
      code < 128 ? os::ErrnoName(code) : "killed"));
}

}  // namespace pinion::monitor
