// What every container finds in its rootfs besides its image: kernel file
// systems, device nodes, links in /dev, and paths hidden from it.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_ROOTFS_DEFAULTS_H_
#define PINION_RUNTIME_PLAN_ROOTFS_DEFAULTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/launch/launch_spec.h"

namespace pinion::plan {

struct RootfsOptions {
  // /sys and /sys/fs/cgroup writable, nothing masked.
  bool privileged = false;
  // /dev/shm is the pod's (LaunchFds.pod_shm_fd), else the container's own
  // tmpfs of `shm_bytes`.
  bool pod_shm = false;
  uint64_t shm_bytes = uint64_t{64} << 20;
  // The host's IPC namespace: then its /dev/shm is bound.
  bool host_ipc = false;
};

// Fills kernel_mounts and symlinks, and puts bind mounts of /dev/shm and
// /sys/fs/cgroup in front of `spec`'s mounts where they are not the
// container's own (spec.own_cgroup_namespace is set before). Devices are
// devices.h's.
void AddRootfsDefaults(const RootfsOptions& options, launch::LaunchSpec& spec);

// The mount data of a tmpfs for a pod's or container's /dev/shm.
std::string ShmData(uint64_t bytes);

// What a container that is not privileged may not see, or not write, in /proc
// and /sys (the names the kubelet sends for ProcMount "Default").
std::vector<std::string> DefaultMaskedPaths();
std::vector<std::string> DefaultReadonlyPaths();

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_ROOTFS_DEFAULTS_H_
