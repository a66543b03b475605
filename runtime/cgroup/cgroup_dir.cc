#include "runtime/cgroup/cgroup_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/tree_walk.h"

namespace pinion::cgroup {
namespace {

// Forks can race with one-by-one kills; each round leaves fewer.
constexpr int kKillRounds = 64;
// A cgroup that was just emptied may still refuse rmdir once or twice.
constexpr int kRemoveRounds = 16;

// One SIGKILL to everything in `dir` and below. cgroup.procs of a threaded
// cgroup cannot be read, and of its processes the parents' list has them all.
absl::Status SignalTree(int dir, const std::string& path, int* signalled) {
  os::TreeVisitor visitor;
  visitor.enter = [&](int entered) {
    const auto procs =
        os::ReadFileAt(entered, "cgroup.procs", size_t{16} << 20);
    for (const absl::string_view line :
         absl::StrSplit(procs.value_or(""), '\n', absl::SkipEmpty())) {
      pid_t pid = 0;
      // 0: a process of another PID namespace, out of reach.
      if (!absl::SimpleAtoi(line, &pid) || pid <= 0) continue;
      if (kill(pid, SIGKILL) == 0) ++*signalled;
    }
    return ChildCgroups(entered, path);
  };
  return os::WalkTree(dir, path, visitor);
}

absl::Status KillOneByOne(int dir, const std::string& path) {
  // Frozen, nothing can fork between the reading and the kill; SIGKILL works
  // on frozen processes of v2.
  const absl::Status frozen = os::WriteKernelFile(dir, "cgroup.freeze", "1");
  absl::Status status;
  for (int round = 0; round < kKillRounds; ++round) {
    int signalled = 0;
    status = SignalTree(dir, path, &signalled);
    if (!status.ok() || signalled == 0) break;
    auto events = os::OpenAt(dir, "cgroup.events", O_RDONLY);
    if (!events.ok()) break;
    const auto populated = IsPopulated(events->get());
    if (!populated.ok() || !*populated) break;
    pollfd wait = {events->get(), POLLPRI, 0};
    poll(&wait, 1, 20);
  }
  if (frozen.ok()) (void)os::WriteKernelFile(dir, "cgroup.freeze", "0");
  return status;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ChildCgroups(int dir,
                                                      const std::string& path) {
  PINION_ASSIGN_OR_RETURN(os::UniqueFd fd,
                          os::OpenAt(dir, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd.get()),
                                                   closedir);
  if (stream == nullptr) {
    return os::ErrnoStatus(absl::StrCat("fdopendir ", path));
  }
  (void)fd.Release();  // closedir closes it.
  std::vector<std::string> names;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
  return names;
}

absl::Status CheckCgroupPath(const std::string& path) {
  if (path.size() < 2 || path[0] != '/' || path.size() > 2048) {
    return absl::InvalidArgumentError(
        absl::StrCat("cgroup \"", path, "\" is no absolute path"));
  }
  for (const absl::string_view part :
       absl::StrSplit(absl::string_view(path).substr(1), '/')) {
    if (!IsSafeName(std::string_view(part.data(), part.size()))) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cgroup \"", path, "\" has an empty or unsafe component"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLeafName(const std::string& name) {
  if (!IsSafeName(name) || name == "monitor" ||
      name.find('.') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" cannot be the name of a cgroup"));
  }
  return absl::OkStatus();
}

absl::StatusOr<os::UniqueFd> OpenCgroup(const std::string& root,
                                        const std::string& path) {
  return os::OpenAt(AT_FDCWD, root + path, O_RDONLY | O_DIRECTORY);
}

absl::StatusOr<std::vector<std::string>> Controllers(int dir,
                                                     const char* file) {
  PINION_ASSIGN_OR_RETURN(const std::string text, os::ReadFileAt(dir, file));
  return std::vector<std::string>(
      absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty()));
}

void EnableControllers(int dir, const std::vector<std::string>& controllers) {
  if (controllers.empty()) return;
  const std::string all = absl::StrCat("+", absl::StrJoin(controllers, " +"));
  if (os::WriteKernelFile(dir, "cgroup.subtree_control", all).ok()) return;
  for (const std::string& controller : controllers) {
    (void)os::WriteKernelFile(dir, "cgroup.subtree_control", "+" + controller);
  }
}

absl::Status MoveProcess(int dir, pid_t pid) {
  return os::WriteKernelFile(dir, "cgroup.procs", absl::StrCat(pid));
}

absl::Status KillTree(int dir, const std::string& path) {
  const absl::Status status = os::WriteKernelFile(dir, "cgroup.kill", "1");
  if (status.ok()) return status;
  struct stat st = {};
  // No file: an old kernel, or the cgroup was removed meanwhile.
  if (fstatat(dir, "cgroup.procs", &st, 0) != 0) return absl::OkStatus();
  return Annotate(KillOneByOne(dir, path), absl::StrCat("kill ", path));
}

absl::StatusOr<bool> IsPopulated(int events) {
  char text[256];
  const ssize_t n = pread(events, text, sizeof(text) - 1, 0);
  if (n < 0) {
    // The cgroup was removed while its file was open.
    if (errno == ENODEV) return false;
    return os::ErrnoStatus("read cgroup.events");
  }
  return std::string_view(text, static_cast<size_t>(n)).find("populated 1") !=
         std::string_view::npos;
}

absl::Status WaitEmpty(int dir, const std::string& path, Deadline deadline) {
  auto events = os::OpenAt(dir, "cgroup.events", O_RDONLY);
  if (absl::IsNotFound(events.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(events.status());
  while (true) {
    PINION_ASSIGN_OR_RETURN_AS(const bool populated, IsPopulated(events->get()),
                               path);
    if (!populated) return absl::OkStatus();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return absl::DeadlineExceededError(
          absl::StrCat("cgroup ", path, " still holds processes"));
    }
    pollfd wait = {events->get(), POLLPRI, 0};
    const int timeout = static_cast<int>(
        std::min<std::chrono::milliseconds::rep>(left.count(), 60'000));
    if (poll(&wait, 1, timeout) < 0 && errno != EINTR) {
      return os::ErrnoStatus(absl::StrCat("poll cgroup.events of ", path));
    }
  }
}

absl::Status RemoveChildren(int dir, const std::string& path) {
  const auto remove = [&path](int parent, const std::string& name) {
    if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
      return absl::OkStatus();
    }
    return os::ErrnoStatus(absl::StrCat("rmdir ", name, " in ", path));
  };
  os::TreeVisitor visitor;
  visitor.enter = [&path](int entered) { return ChildCgroups(entered, path); };
  visitor.leave = remove;
  return os::WalkTree(dir, path, visitor);
}

absl::Status RemoveCgroup(const std::string& root, const std::string& path,
                          Deadline deadline) {
  const std::string full = root + path;
  absl::Status last;
  for (int round = 0; round < kRemoveRounds; ++round) {
    if (rmdir(full.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
    if (errno != EBUSY && errno != ENOTEMPTY) {
      return os::ErrnoStatus(absl::StrCat("rmdir ", full));
    }
    auto dir = OpenCgroup(root, path);
    if (absl::IsNotFound(dir.status())) return absl::OkStatus();
    PINION_RETURN_IF_ERROR(dir.status());
    PINION_RETURN_IF_ERROR(KillTree(dir->get(), path));
    PINION_RETURN_IF_ERROR(WaitEmpty(dir->get(), path, deadline));
    last = RemoveChildren(dir->get(), path);
  }
  return last.ok() ? absl::ResourceExhaustedError(
                         absl::StrCat("rmdir ", full, ": EBUSY"))
                   : last;
}

}  // namespace pinion::cgroup
