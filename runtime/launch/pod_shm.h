// The /dev/shm that the containers of a pod share.
//
// A tmpfs needs a mount to live, and pinion has none on the host: it is the
// only mount of a namespace of its own, which the monitor holds by a
// descriptor; each container takes a clone (LaunchFds.pod_shm_fd,
// BindMount.pod_shm). It lasts until the descriptor and the containers end.

#ifndef PINION_RUNTIME_LAUNCH_POD_SHM_H_
#define PINION_RUNTIME_LAUNCH_POD_SHM_H_

#include <cstdint>

namespace pinion::launch {

// A tmpfs of at most `bytes` (mode 1777, nosuid, nodev, noexec). Returns the
// descriptor of its mount namespace, or -1 with errno. Single-threaded
// callers only, in the host's root; their working directory becomes "/".
int MakePodShm(uint64_t bytes);

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_POD_SHM_H_
