// Starts a program with exactly the descriptors it is meant to have.
//
// vfork-style: the child shares the caller's memory until it executes the
// program (CLONE_VM | CLONE_VFORK, all signals blocked around it), so it costs
// the same however large the caller is; in between run only system calls.
//
// Thread-safe.

#ifndef PINION_OS_SPAWN_H_
#define PINION_OS_SPAWN_H_

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::os {

struct SpawnSpec {
  // Executed as it is, no PATH. "/proc/self/fd/N" is fds[N] of the child.
  std::string path;
  std::vector<std::string> argv;
  std::vector<std::string> env;
  // fds[i] becomes descriptor i; every other one is closed. Borrowed.
  std::vector<int> fds;
  // A session of its own: no terminal's signals, and it outlives the caller.
  bool new_session = false;
  // A cgroup v2 directory to be born in (CLONE_INTO_CGROUP); -1: the caller's.
  // Moving a process later waits for an RCU grace period, 2 to 20 ms, in which
  // no process of the machine can fork or end.
  int cgroup_fd = -1;
};

struct SpawnedProcess {
  pid_t pid = -1;
  // It leads a session, and with it a process group.
  bool new_session = false;
  // Readable once it has ended; the caller reaps it (waitid(P_PIDFD)).
  UniqueFd pidfd;
};

// Returns once the program is executed. All signals have their default
// action in it and none is blocked. The status is that of the failed exec.
absl::StatusOr<SpawnedProcess> Spawn(const SpawnSpec& spec);

using SteadyTime = std::chrono::steady_clock::time_point;

// Waits for the program's end and reaps it: its exit code, or 128 and the
// signal. One that is still there at `limit` is killed, with its group if it
// has one of its own, and reaped, whatever that takes: DeadlineExceeded.
absl::StatusOr<int> AwaitEnd(const SpawnedProcess& process, SteadyTime limit);

// Waits until `fd` is readable or hung up (true), or the program has ended or
// `limit` has come (false).
bool AwaitReadable(int fd, const SpawnedProcess& process, SteadyTime limit);

}  // namespace pinion::os

#endif  // PINION_OS_SPAWN_H_
