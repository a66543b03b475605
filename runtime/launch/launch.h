// Executes a launch plan: what the monitor calls, once per process.
//
// Single-threaded callers only (the monitor): clone3 without exec is then
// safe by construction. No heap is used between clone and exec, see
// docs/child_rules.md.

#ifndef PINION_RUNTIME_LAUNCH_LAUNCH_H_
#define PINION_RUNTIME_LAUNCH_LAUNCH_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace pinion::launch {

// What a child that could not start says through its report pipe before it
// exits. Everything in it is fixed-size, so one write(2) is atomic.
struct Failure {
  uint32_t step = 0;      // a Step (step.h); StepName gives its name
  int32_t error = 0;      // errno
  char object[240] = {};  // path or name the step was about; NUL-terminated
};

struct LaunchFds {
  int stdin_fd = -1;   // -1: /dev/null
  int stdout_fd = -1;  // ignored when the plan asks for a terminal
  int stderr_fd = -1;
  int cgroup_fd = -1;     // directory entered with CLONE_INTO_CGROUP; -1: none
  int pod_pidns_fd = -1;  // for PidNamespace::kPod
  // MakePodShm's (pod_shm.h), for mounts with pod_shm; 3 or more.
  int pod_shm_fd = -1;
  // Both or none, 3 or more: the container's root, a detached mount to be
  // attached instead of the plan's, and the mount namespace to attach it in a
  // copy of (os/detached_mount.h), in which nothing of the host's is.
  int root_fd = -1;
  int mount_namespace_fd = -1;
  // A child of the caller's that is not reaped, so its number is nobody
  // else's: if the plan's target is this process, it is not looked for again.
  // The descriptor is 3 or more.
  pid_t own_child = -1;
  uint64_t own_child_start_ticks = 0;
  int own_child_pidfd = -1;
  // For plans with a user namespace: the pod's; 3 or more.
  int pod_userns_fd = -1;
};

struct Launched {
  pid_t pid = -1;
  int pidfd = -1;
  // Readable when the process has exec'ed (end of file) or failed (one
  // Failure). Non-blocking, close-on-exec; the caller closes it.
  int report_fd = -1;
  // With a terminal: a socket on which the child sends the pty's controlling
  // side by SCM_RIGHTS once it has made it. -1 otherwise.
  int console_socket = -1;
};

// Starts the process `plan` (bytes made by EncodePlan, mapped read-only)
// describes. Returns 0, or -1 with *failure filled: then no process exists.
// The caller keeps its descriptors, and is not dumpable afterwards (that is
// inherited until exec; docs/child_rules.md).
int Launch(const void* plan, size_t size, const LaunchFds& fds,
           Launched* launched, Failure* failure);

// "exec", "mount rootfs", … for messages: "exec /nope: ENOENT".
const char* StepName(uint32_t step);

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_LAUNCH_H_
