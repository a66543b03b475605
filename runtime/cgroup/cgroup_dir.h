// Operations on one cgroup's directory that every driver and leaf shares:
// controllers, membership, kill, waiting until it is empty, removal.
//
// Thread-safe. `path` is below the v2 root, with a leading '/'. Rules:
// Documentation/admin-guide/cgroup-v2.rst of the kernel.

#ifndef PINION_RUNTIME_CGROUP_CGROUP_DIR_H_
#define PINION_RUNTIME_CGROUP_CGROUP_DIR_H_

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::cgroup {

using Deadline = std::chrono::steady_clock::time_point;

// InvalidArgument unless `path` is "/a/b…" with no empty, "." or ".."
// component and no control character.
absl::Status CheckCgroupPath(const std::string& path);

// InvalidArgument unless `name` can be a child cgroup that pinion makes: one
// safe component that hides no interface file (no '.': "cgroup.procs").
absl::Status CheckLeafName(const std::string& name);

// The directory, readable: good for *at(2), CLONE_INTO_CGROUP and bpf(2).
absl::StatusOr<os::UniqueFd> OpenCgroup(const std::string& root,
                                        const std::string& path);

// cgroup.controllers: what this cgroup may use or hand on; or what it does hand
// on, of cgroup.subtree_control.
absl::StatusOr<std::vector<std::string>> Controllers(
    int dir, const char* file = "cgroup.controllers");

// Hands these controllers on to the children. One write in the good case; if
// the kernel refuses it (EBUSY: processes inside, EINVAL: real-time tasks),
// one by one, and those refused stay off without an error: a limit that needs
// one says so when it is asked for.
void EnableControllers(int dir, const std::vector<std::string>& controllers);

// Moves the process with all its threads. NotFound: it is gone.
absl::Status MoveProcess(int dir, pid_t pid);

// SIGKILLs the whole tree: cgroup.kill, and before Linux 5.14 freeze, kill
// one by one, thaw. Success if there is nothing (left) to kill.
absl::Status KillTree(int dir, const std::string& path);

// Whether an open cgroup.events says that processes are in the cgroup or
// below. The read arms the next notification (POLLPRI); gone: false.
absl::StatusOr<bool> IsPopulated(int events);

// Waits for "populated 0" in cgroup.events (poll(2), no interval).
// DeadlineExceeded names the cgroup.
absl::Status WaitEmpty(int dir, const std::string& path, Deadline deadline);

// Names of the cgroups right below. (Interface files are no directories.)
absl::StatusOr<std::vector<std::string>> ChildCgroups(int dir,
                                                      const std::string& path);

// Removes the cgroups below `dir`, deepest first; they must be empty.
absl::Status RemoveChildren(int dir, const std::string& path);

// Kills, waits, removes the cgroup with everything below. Missing is success.
absl::Status RemoveCgroup(const std::string& root, const std::string& path,
                          Deadline deadline);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_CGROUP_DIR_H_
