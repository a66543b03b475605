#include "os/process.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/unique_fd.h"

namespace pinion::os {

absl::StatusOr<uint64_t> ProcessStartTicks(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/stat");
  PINION_ASSIGN_OR_RETURN(const std::string stat, ReadFileAt(AT_FDCWD, path));
  // The command may hold spaces and parentheses; the last ')' ends it, and
  // field 3 follows.
  size_t at = stat.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) {
    at = stat.find(' ', at + 1);
  }
  uint64_t ticks = 0;
  if (at == std::string::npos ||
      std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), ticks)
              .ec != std::errc()) {
    return absl::InternalError(absl::StrCat(path, ": no start time in it"));
  }
  return ticks;
}

absl::Status KillIfSame(pid_t pid, uint64_t start_ticks, int signal) {
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    if (errno == ESRCH) return absl::OkStatus();
    return ErrnoStatus(absl::StrCat("pidfd_open ", pid));
  }
  const auto ticks = ProcessStartTicks(pid);
  if (absl::IsNotFound(ticks.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(ticks.status());
  if (*ticks != start_ticks) return absl::OkStatus();
  if (syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) != 0 &&
      errno != ESRCH) {
    return ErrnoStatus(absl::StrCat("pidfd_send_signal ", pid));
  }
  return absl::OkStatus();
}

}  // namespace pinion::os
