#include "runtime/oom_score.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/cgroup/usage.h"

namespace pinion::runtime {
namespace {

int WriteScore(int fd, const std::string& text) {
  const ssize_t n = pwrite(fd, text.data(), text.size(), 0);
  return n < 0 ? errno : 0;
}

}  // namespace

OomScoreChange::~OomScoreChange() {
  for (auto entry = done_.rbegin(); entry != done_.rend(); ++entry) {
    const int error = WriteScore(entry->first.get(), entry->second);
    if (error == 0 || error == ESRCH) continue;
    Log(LogLevel::kWarning, "an oom_score_adj could not be set back",
        {{"error", os::ErrnoName(error)}});
  }
}

absl::Status OomScoreChange::Apply(int dir, int score) {
  const std::string wanted = absl::StrCat(score);
  PINION_ASSIGN_OR_RETURN(const cgroup::Usage usage, cgroup::ReadUsage(dir));
  for (const pid_t pid : usage.processes) {
    const std::string path = absl::StrCat("/proc/", pid, "/oom_score_adj");
    auto fd = os::OpenAt(AT_FDCWD, path, O_RDWR);
    if (absl::IsNotFound(fd.status())) continue;  // ended meanwhile
    PINION_RETURN_IF_ERROR(fd.status());
    auto before = os::ReadFd(fd->get(), path);
    if (!before.ok()) continue;  // ended meanwhile
    const int error = WriteScore(fd->get(), wanted);
    if (error == ESRCH) continue;
    if (error != 0) {
      return os::ErrnoStatus(error,
                             absl::StrCat("write ", wanted, " to ", path));
    }
    done_.emplace_back(*std::move(fd), *std::move(before));
  }
  return absl::OkStatus();
}

}  // namespace pinion::runtime
