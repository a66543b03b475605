// What runs after clone, until exec: the checklist is RunChild in child.cc,
// each item a file child_*.cc.
//
// Rules (docs/child_rules.md): no heap, no stdio, no logging, no Abseil. A
// step that cannot be done ends the process: Die reports {step, errno,
// object}, so nothing here returns an error. The undefined symbols of these
// objects are compared with an allow-list by a test.

#ifndef PINION_RUNTIME_LAUNCH_CHILD_H_
#define PINION_RUNTIME_LAUNCH_CHILD_H_

#include <cstddef>

#include "runtime/launch/plan.h"
#include "runtime/launch/step.h"

namespace pinion::launch {

struct Child {
  const Plan* plan = nullptr;
  int report_fd = -1;       // all of these are 3 or more, or -1
  int console_socket = -1;  // the child's end
  int target_pidfd = -1;    // kExec
  int pod_shm_fd = -1;
  int root_mount = -1;       // LaunchFds' root_fd
  int mount_namespace = -1;  // and mount_namespace_fd
  // With a user namespace: the preparer's and the container's ends of one
  // socket; the preparer also has the namespace.
  int transfer_fd = -1;
  int userns_fd = -1;
  int stdio[3] = {-1, -1, -1};

  // Filled on the way.
  int root_fd = -1;          // O_PATH on the container's "/"
  int null_fd = -1;          // O_PATH on its /dev/null, before foreign mounts
  int* sources = nullptr;    // a detached tree for each mount of the plan
  bool dir_refused = false;  // working directory: try again as the user
};

// Does everything `child.plan` asks and executes the program.
[[noreturn]] void RunChild(Child& child);

// The process beside a container's in a user namespace (child_preparer.cc).
[[noreturn]] void RunPreparer(Child& child);

// Reports the failure with the current errno and ends the process.
[[noreturn]] void Die(const Child& child, Step step, const char* object);

// `size` zeroed bytes that are never given back; the process execs soon.
void* Scratch(const Child& child, size_t size);

// child_stdio.cc, child_console.cc
// Puts stdio at 0, 1, 2 and closes everything but the descriptors of `child`.
void TakeDescriptors(Child& child);
// Streams that nobody gave become the container's own /dev/null; pipes
// become the user's, so that /dev/stderr can be opened by it.
void FinishStdio(const Child& child);
// The same for a user namespace, by somebody outside of it.
void OwnStdio(const Child& child);
// A pty of the container's devpts becomes the controlling terminal; its
// other side goes through the console socket.
void MakeTerminal(const Child& child);

// child_process.cc: session, signals, affinity, oom_score_adj, AppArmor,
// rlimits. StartProcess needs the host's /proc.
void StartProcess(const Child& child);
void JoinContainer(Child& child);
void SetRlimits(const Child& child);
// Failing for want of permission is no failure before the identity is taken:
// a directory on NFS may be open to the user alone.
void EnterWorkingDir(Child& child);
void RetryWorkingDir(const Child& child);

// child_rootfs.cc
void EnterRootfs(Child& child);
// The same with a root that was mounted ahead.
void EnterMountedRoot(Child& child);
void FinishRootfs(const Child& child);
// The overlay (or only layer) upon the base directory, which becomes the
// working directory.
void MountRoot(const Child& child);
// Makes the mount of the working directory the root, opened as root_fd.
void PivotRoot(Child& child);

// child_mapped.cc: in a user namespace.
void TakeMappedRoot(const Child& child);
void EnterMappedRootfs(Child& child);
// The next mount from the preparer; ends the process if there is none.
int TakePrepared(const Child& child);

// child_preparer.cc: whether the preparer makes this mount.
bool IsPrepared(const Plan& plan, const WireKernelMount& m);

// child_restore.cc: what criu needs around it. Paths stay the host's.
void PrepareRestore(Child& child);

// child_transfer.cc: one descriptor through a socket. False, or -1, with
// errno; EPIPE: the other side has closed it.
bool SendFd(int socket, int fd);
int ReceiveFd(int socket);

// child_mounts.cc: bind mounts. The sources are opened in the host's tree
// before it is cut off, so that propagation can be as asked.
void OpenMountSources(Child& child);
// child_image.cc: the sources that are images. The working directory is that
// of the layers; mounts are made upon it.
void OpenImageMounts(const Child& child);
// Maps a detached tree's ids as child.userns_fd does. False with errno:
// EINVAL if its file system cannot.
bool MapIds(const Child& child, int tree, bool recursive);
void AttachMounts(const Child& child);

// child_devices.cc
void MountKernelFilesystems(const Child& child);
void MakeDevices(const Child& child);
// Opens null_fd.
void FindNull(Child& child);

// child_masks.cc
void HidePaths(const Child& child);

// child_path.cc: paths that cannot leave the container's root.
// openat2(RESOLVE_IN_ROOT); -1 with errno.
int OpenInRoot(const Child& child, const char* path, int flags,
               unsigned resolve);
// The same, O_PATH, making what is missing: a directory, or with !is_dir an
// empty file in directories. -1 with errno.
int MakeInRoot(const Child& child, const char* path, bool is_dir);

// child_identity.cc: user, groups, capabilities, no_new_privs, seccomp.
void TakeIdentity(const Child& child);

// child_exec.cc
[[noreturn]] void ExecuteProgram(const Child& child);

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_CHILD_H_
