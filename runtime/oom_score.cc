#include "runtime/oom_score.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/cgroup/usage.h"

namespace pinion::runtime {
namespace {

constexpr int kMostLooks = 8;

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
  std::set<pid_t> seen;
  for (int look = 0; look < kMostLooks; ++look) {
    PINION_ASSIGN_OR_RETURN(const cgroup::Usage usage, cgroup::ReadUsage(dir));
    const size_t before = seen.size();
    for (const pid_t pid : usage.processes) {
      if (!seen.insert(pid).second) continue;
      PINION_RETURN_IF_ERROR(ApplyTo(pid, wanted));
    }
    if (seen.size() == before) break;
  }
  return absl::OkStatus();
}

absl::Status OomScoreChange::ApplyTo(pid_t pid, const std::string& wanted) {
  const std::string path = absl::StrCat("/proc/", pid, "/oom_score_adj");
  auto fd = os::OpenAt(AT_FDCWD, path, O_RDWR);
  if (absl::IsNotFound(fd.status())) return absl::OkStatus();  // has ended
  PINION_RETURN_IF_ERROR(fd.status());
  auto before = os::ReadFd(fd->get(), path);
  if (!before.ok()) return absl::OkStatus();  // has ended
  const int error = WriteScore(fd->get(), wanted);
  if (error == ESRCH) return absl::OkStatus();
  if (error != 0) {
    return os::ErrnoStatus(error, absl::StrCat("write ", wanted, " to ", path));
  }
  done_.emplace_back(*std::move(fd), *std::move(before));
  return absl::OkStatus();
}

}  // namespace pinion::runtime
