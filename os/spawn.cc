#include "os/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "os/error.h"

namespace pinion::os {
namespace {

// Null-terminated, as exec wants it; the strings stay the caller's.
std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) {
    pointers.push_back(const_cast<char*>(string.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

struct DestroyActions {
  void operator()(posix_spawn_file_actions_t* actions) const {
    posix_spawn_file_actions_destroy(actions);
  }
};

struct DestroyAttributes {
  void operator()(posix_spawnattr_t* attributes) const {
    posix_spawnattr_destroy(attributes);
  }
};

void SetAttributes(bool new_session, posix_spawnattr_t* attributes) {
  sigset_t set;
  sigemptyset(&set);
  posix_spawnattr_setsigmask(attributes, &set);
  sigfillset(&set);
  posix_spawnattr_setsigdefault(attributes, &set);
  posix_spawnattr_setflags(
      attributes,
      static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                         (new_session ? POSIX_SPAWN_SETSID : 0)));
}

}  // namespace

absl::StatusOr<SpawnedProcess> Spawn(const SpawnSpec& spec) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::unique_ptr<posix_spawn_file_actions_t, DestroyActions>
      actions_owner(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const std::unique_ptr<posix_spawnattr_t, DestroyAttributes> attributes_owner(
      &attributes);
  SetAttributes(spec.new_session, &attributes);

  // Copies above the numbers that are about to be given, so that no dup2
  // closes a descriptor that is still to be copied.
  const int count = static_cast<int>(spec.fds.size());
  std::vector<UniqueFd> copies;
  for (int i = 0; i < count; ++i) {
    const int fd = spec.fds[static_cast<size_t>(i)];
    copies.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, count));
    if (!copies.back().valid()) {
      return ErrnoStatus(absl::StrCat("duplicate fd ", fd));
    }
    posix_spawn_file_actions_adddup2(&actions, copies.back().get(), i);
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, count);

  SpawnedProcess process;
  const int error =
      posix_spawn(&process.pid, spec.path.c_str(), &actions, &attributes,
                  Pointers(spec.argv).data(), Pointers(spec.env).data());
  if (error != 0) {
    return ErrnoStatus(error, absl::StrCat("spawn ", spec.path));
  }
  // Not reaped yet, so the number is still its own.
  process.pidfd =
      UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0)));
  if (!process.pidfd.valid()) {
    const int pidfd_error = errno;
    kill(process.pid, SIGKILL);
    waitpid(process.pid, nullptr, 0);
    return ErrnoStatus(pidfd_error, absl::StrCat("pidfd_open ", process.pid));
  }
  return process;
}

}  // namespace pinion::os
