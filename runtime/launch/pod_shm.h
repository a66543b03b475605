// The /dev/shm that the containers of a pod share.
//
// A tmpfs needs a mount to live, and pinion has none on the host: it is a
// detached mount that the monitor holds by a descriptor; before kernel 6.15,
// where such a mount cannot be cloned, the only mount of a namespace of its
// own. Each container takes a clone (LaunchFds.pod_shm_fd, BindMount.pod_shm).
// It lasts until the descriptor and the containers end.

#ifndef PINION_RUNTIME_LAUNCH_POD_SHM_H_
#define PINION_RUNTIME_LAUNCH_POD_SHM_H_

#include <cstdint>

namespace pinion::launch {

// A tmpfs of at most `bytes` (mode 1777, nosuid, nodev, noexec). Returns the
// descriptor of its mount (a directory) or of its mount namespace (a regular
// file), or -1 with errno. Single-threaded
// callers only, in the host's root; their working directory becomes "/".
int MakePodShm(uint64_t bytes);

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_POD_SHM_H_
