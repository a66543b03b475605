#include "daemon/process_setup.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::daemon {
namespace {

constexpr rlim_t kWantedFiles = 1 << 20;

}  // namespace

void OpenStandardStreams() {
  for (int fd = 0; fd <= 2; ++fd) {
    // The lowest free number (open(2)), and those below are taken.
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // Nobody is to believe that what is printed was written.
    const int flags = fd == STDOUT_FILENO ? O_RDONLY : O_RDWR;
    (void)open("/dev/null", flags);
  }
}

void TuneMalloc() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 128 << 10);
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

void RaiseFileLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  rlimit wanted = {std::max(limit.rlim_cur, kWantedFiles),
                   std::max(limit.rlim_max, kWantedFiles)};
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) return;
  // The hard limit may only be raised with CAP_SYS_RESOURCE.
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

absl::Status StayOnCpus(const CpuSet& cpus) {
  cpu_set_t* const set = CPU_ALLOC(CpuSet::kMax);
  const size_t size = CPU_ALLOC_SIZE(CpuSet::kMax);
  CPU_ZERO_S(size, set);
  for (const int cpu : cpus) {
    CPU_SET_S(static_cast<size_t>(cpu), size, set);
  }
  const bool done = sched_setaffinity(0, size, set) == 0;
  const int error = errno;
  CPU_FREE(set);
  if (done) return absl::OkStatus();
  return os::ErrnoStatus(
      error, absl::StrCat("sched_setaffinity to ", cpus.ToString()));
}

void ProtectFromOomKiller() {
  const absl::Status status =
      os::WriteKernelFile(AT_FDCWD, "/proc/self/oom_score_adj", "-999");
  if (!status.ok()) {
    Log(LogLevel::kWarning,
        "the kernel's OOM killer may choose the daemon: no CAP_SYS_RESOURCE",
        {{"error", status.ToString()}});
  }
}

}  // namespace pinion::daemon
