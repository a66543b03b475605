#include "runtime/checkpoint/criu_dump.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/pipe.h"
#include "os/process.h"
#include "os/spawn.h"
#include "os/unique_fd.h"

namespace pinion::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;

// A criu that is killed while it works inside a process may leave that process
// broken: so only one that hangs for so long beyond the deadline is.
constexpr std::chrono::seconds kPatience{60};
constexpr size_t kMaxLog = size_t{16} << 20;

// criu calls it at every stage; "post-dump" is when the images are complete and
// the processes still stand. It tells the daemon and waits until the daemon
// lets go of the other pipe, or dies: then the open fails, or the read ends.
// Both are opened before the daemon hears of it, and may close them.
constexpr char kScript[] =
    "#!/bin/sh\n"
    "[ \"$CRTOOLS_SCRIPT_ACTION\" = post-dump ] || exit 0\n"
    "exec 3<\"$PINION_GO_ON\" || exit 1\n"
    "echo stopped >\"$PINION_STOPPED\" || exit 1\n"
    "read line <&3\n"
    "exit 0\n";

std::string OwnFd(const os::UniqueFd& fd) {
  return absl::StrCat("/proc/", getpid(), "/fd/", fd.get());
}

// By a thread that is born for it: the caller stays in its namespaces.
absl::StatusOr<os::SpawnedProcess> SpawnIn(int namespaces,
                                           const os::SpawnSpec& spec) {
  absl::StatusOr<os::SpawnedProcess> process =
      absl::UnavailableError("no thread");
  std::thread thread([&] {
    if (setns(namespaces, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) {
      process = os::ErrnoStatus("setns to the pod's namespaces");
      return;
    }
    process = os::Spawn(spec);
  });
  thread.join();
  return process;
}

absl::StatusOr<os::UniqueFd> OpenProcess(pid_t pid, uint64_t start_ticks) {
  os::UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    return os::ErrnoStatus(absl::StrCat("pidfd_open ", pid));
  }
  PINION_ASSIGN_OR_RETURN(const uint64_t ticks, os::ProcessStartTicks(pid));
  if (ticks == start_ticks) return pidfd;
  return absl::UnavailableError("the pod's monitor is gone");
}

absl::Status Failure(const std::string& images_dir) {
  const auto log = os::ReadFileAt(
      AT_FDCWD, absl::StrCat(images_dir, "/", kDumpLog), kMaxLog);
  return absl::FailedPreconditionError(absl::StrCat(
      "criu dump: ", log.ok() ? ErrorsOf(*log) : "criu left no log"));
}

}  // namespace

absl::Status Dump(const DumpRun& run) {
  PINION_ASSIGN_OR_RETURN(
      const os::UniqueFd namespaces,
      OpenProcess(run.namespaces_pid, run.namespaces_start_ticks));
  PINION_ASSIGN_OR_RETURN(const os::Pipe stopped, os::MakePipe("dump"));
  PINION_ASSIGN_OR_RETURN(os::Pipe go_on, os::MakePipe("dump"));
  go_on.reader.Reset();  // the script opens one of its own
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd null,
                          os::OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  DumpCommand command = run.command;
  command.script = absl::StrCat(command.images_dir, "/../dump-script");
  PINION_RETURN_IF_ERROR(
      os::ReplaceFileAt(AT_FDCWD, command.script, kScript, 0700));

  os::SpawnSpec spec;
  spec.path = run.criu;
  spec.argv = DumpArguments(command);
  spec.env = CriuEnvironment();
  spec.env.push_back(absl::StrCat("PINION_STOPPED=", OwnFd(stopped.writer)));
  spec.env.push_back(absl::StrCat("PINION_GO_ON=", OwnFd(go_on.writer)));
  spec.fds = {null.get(), null.get(), null.get()};
  spec.new_session = true;
  PINION_ASSIGN_OR_RETURN(const os::SpawnedProcess process,
                          SpawnIn(namespaces.get(), spec));

  Clock::time_point limit = run.deadline + kPatience;
  absl::Status inner;
  const bool held = os::AwaitReadable(stopped.reader.get(), process, limit);
  if (held) {
    inner = run.while_stopped();
    // However long that took: it now lets the processes go on.
    limit = std::max(limit, Clock::now() + kPatience);
  }
  go_on.writer.Reset();
  const absl::StatusOr<int> code = os::AwaitEnd(process, limit);
  if (code.value_or(-1) != 0) return Failure(command.images_dir);
  PINION_RETURN_IF_ERROR(inner);
  if (!held) {
    return absl::InternalError("criu dump: its script was not called");
  }
  if (Clock::now() > run.deadline) {
    return absl::DeadlineExceededError("the checkpoint took too long");
  }
  return absl::OkStatus();
}

}  // namespace pinion::checkpoint
