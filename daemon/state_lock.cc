#include "daemon/state_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::daemon {
namespace {

// What is in there and no record names is removed as a leftover: so never take
// a directory that has been somebody else's.
absl::Status CheckOurs(int dir, const std::string& directory) {
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<std::string> names,
                             os::ListDirAt(dir, "."), directory);
  bool others = false;
  for (const std::string& name : names) {
    if (name == "lock" || name == "state.db") return absl::OkStatus();
    others = others || name != "lost+found";
  }
  if (!others) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(directory,
                   " is not empty and not pinion's: name a directory "
                   "of its own"));
}

}  // namespace

absl::StatusOr<StateLock> StateLock::Acquire(const std::string& directory) {
  PINION_RETURN_IF_ERROR(os::MakeDirs(directory, 0700));
  PINION_ASSIGN_OR_RETURN(
      const os::UniqueFd dir,
      os::OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  PINION_RETURN_IF_ERROR(CheckOurs(dir.get(), directory));
  PINION_ASSIGN_OR_RETURN_AS(
      os::UniqueFd fd,
      os::OpenAt(dir.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600),
      directory);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return os::ErrnoStatus(absl::StrCat("flock ", directory, "/lock"));
    }
    const auto owner = os::ReadFileAt(dir.get(), "lock", 64);
    const std::string pid =
        owner.ok() ? std::string(absl::StripAsciiWhitespace(*owner)) : "";
    return absl::FailedPreconditionError(absl::StrCat(
        "another piniond ", pid.empty() ? "" : absl::StrCat("(pid ", pid, ") "),
        "uses ", directory,
        "; stop it, or give this one its own --root, --state, "
        "network.host_link_name and network.range"));
  }
  // Only now: the mode of a directory that somebody else uses is theirs.
  if (fchmod(dir.get(), 0700) != 0) {
    return os::ErrnoStatus(absl::StrCat("fchmod ", directory));
  }
  if (ftruncate(fd.get(), 0) != 0) {
    return os::ErrnoStatus(absl::StrCat("ftruncate ", directory, "/lock"));
  }
  PINION_RETURN_IF_ERROR(
      os::WriteAll(fd.get(), absl::StrCat(getpid(), "\n"), directory));
  return StateLock(std::move(fd));
}

}  // namespace pinion::daemon
