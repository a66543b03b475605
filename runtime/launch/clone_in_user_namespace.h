// A new process of the caller's that is born in a user namespace, with the
// PID and mount namespaces that it asks for owned by it.
//
// The caller itself must not join a user namespace: there is no way back out
// of one (user_namespaces(7)). So a short-lived copy of it joins and clones
// once more, with CLONE_PARENT: the new process is the caller's child. That
// copy runs nothing that could wait; the caller waits for its end.
//
// Single-threaded callers only. No heap.

#ifndef PINION_RUNTIME_LAUNCH_CLONE_IN_USER_NAMESPACE_H_
#define PINION_RUNTIME_LAUNCH_CLONE_IN_USER_NAMESPACE_H_

#include <sys/types.h>

#include <cstdint>

namespace pinion::launch {

struct UserNamespaceClone {
  int user_namespace_fd = -1;
  // A PID namespace or a pidfd whose namespace is joined; -1: none.
  int pid_namespace_fd = -1;
  // Entered with CLONE_INTO_CGROUP; -1: none.
  int cgroup_fd = -1;
  uint64_t flags = 0;  // CLONE_NEWPID, CLONE_NEWNS
  // Set while it may still be lowered; the new process inherits it.
  bool set_oom_score_adj = false;
  int oom_score_adj = 0;
};

// As fork(2): 0 in the new process, its pid in the caller, where *pidfd is
// close-on-exec; -1 with errno. The new process has not taken an id of the
// namespace yet (TakeRootOfUserNamespace).
pid_t CloneInUserNamespace(const UserNamespaceClone& clone, int* pidfd);

// setgroups, setresgid and setresuid to 0, as the calling process's user
// namespace maps it. False with errno.
bool TakeRootOfUserNamespace();

// Writes /proc/self/oom_score_adj. Lowering it without CAP_SYS_RESOURCE
// (EACCES) counts as done. False with errno.
bool SetOomScoreAdj(int value);

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_CLONE_IN_USER_NAMESPACE_H_
