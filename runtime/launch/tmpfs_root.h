// A mount namespace that holds one tmpfs and nothing of the host.

#ifndef PINION_RUNTIME_LAUNCH_TMPFS_ROOT_H_
#define PINION_RUNTIME_LAUNCH_TMPFS_ROOT_H_

namespace pinion::launch {

// Makes the caller's mount namespace (its own already: unshare before) one
// whose only mount is a new tmpfs with mount(2)'s `flags` and `data`; root
// and working directory are in it afterwards. -1 with errno.
int EnterTmpfsRoot(unsigned long flags, const char* data);

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_TMPFS_ROOT_H_
