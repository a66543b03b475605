#include "runtime/plan/rootfs_defaults.h"

#include <sys/mount.h>

#include "absl/strings/str_cat.h"

namespace pinion::plan {
namespace {

constexpr uint64_t kNoSuid = MS_NOSUID;
constexpr uint64_t kHarmless = MS_NOSUID | MS_NODEV | MS_NOEXEC;

}  // namespace

std::string ShmData(uint64_t bytes) {
  return absl::StrCat("mode=1777,size=", bytes);
}

void AddRootfsDefaults(const RootfsOptions& options, launch::LaunchSpec& spec) {
  const uint64_t sys = options.privileged ? kHarmless : kHarmless | MS_RDONLY;
  std::vector<launch::KernelMount>& mounts = spec.kernel_mounts;
  mounts.push_back({"proc", "/proc", "", kHarmless});
  mounts.push_back({"sysfs", "/sys", "", sys});
  if (spec.own_cgroup_namespace) {
    mounts.push_back({"cgroup2", "/sys/fs/cgroup", "", sys});
  } else {
    launch::BindMount cgroups;
    cgroups.source = cgroups.target = "/sys/fs/cgroup";
    cgroups.readonly = cgroups.recursive_readonly = !options.privileged;
    spec.mounts.insert(spec.mounts.begin(), cgroups);
  }
  mounts.push_back(
      {"tmpfs", "/dev", "mode=755,size=65536k", kNoSuid | MS_STRICTATIME});
  // Group 5 is "tty" wherever a system has one; programs expect it.
  mounts.push_back({"devpts", "/dev/pts",
                    "newinstance,ptmxmode=0666,mode=0620,gid=5",
                    kNoSuid | MS_NOEXEC});

  // That of the IPC namespace the process is in, the host's included.
  mounts.push_back({"mqueue", "/dev/mqueue", "", kHarmless});

  if (options.host_ipc || options.pod_shm) {
    launch::BindMount shm;
    if (options.host_ipc) shm.source = "/dev/shm";
    shm.target = "/dev/shm";
    shm.pod_shm = !options.host_ipc;
    spec.mounts.insert(spec.mounts.begin(), shm);
  } else {
    mounts.push_back(
        {"tmpfs", "/dev/shm", ShmData(options.shm_bytes), kHarmless});
  }

  spec.symlinks.push_back({"/dev/fd", "/proc/self/fd"});
  spec.symlinks.push_back({"/dev/stdin", "/proc/self/fd/0"});
  spec.symlinks.push_back({"/dev/stdout", "/proc/self/fd/1"});
  spec.symlinks.push_back({"/dev/stderr", "/proc/self/fd/2"});
  spec.symlinks.push_back({"/dev/ptmx", "pts/ptmx"});
}

std::vector<std::string> DefaultMaskedPaths() {
  return {
      "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
      "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
      "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
      "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
}

std::vector<std::string> DefaultReadonlyPaths() {
  return {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
          "/proc/sysrq-trigger"};
}

}  // namespace pinion::plan
