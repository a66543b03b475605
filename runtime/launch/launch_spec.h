// One process to start, completely resolved: nothing in it is looked up,
// defaulted or validated again after the clone. The daemon fills a
// LaunchSpec, EncodePlan flattens it (plan_writer.h), the monitor maps the
// bytes and executes them (launch.h).
//
// Plain values; standard library only, as the monitor shares this folder.

#ifndef PINION_RUNTIME_LAUNCH_LAUNCH_SPEC_H_
#define PINION_RUNTIME_LAUNCH_LAUNCH_SPEC_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pinion::launch {

enum class Kind {
  kContainer,  // a container's init: own mount namespace and rootfs
  kExec,       // one more process in a running container
  // criu, which makes a container's processes out of a checkpoint: in the
  // container's cgroup and a cgroup namespace of it, but in a copy of the
  // host's mounts, with all of the monitor's powers. The rootfs is mounted at
  // `working_dir`, `mounts` at their targets, both paths of the host.
  kRestore,
};

enum class PidNamespace {
  kOwn,     // the process is PID 1
  kPod,     // the pod's shared one, whose PID 1 is pinion's reaping init
  kHost,    // the node's
  kTarget,  // that of another container's process (target_pid)
};

enum class Propagation { kPrivate, kSlave, kShared };

// The container's root: an overlay made inside its own mount namespace with
// mount(2) relative to `base_dir`, so that names stay short and nothing ever
// shows in the host's mount table.
struct Rootfs {
  std::string base_dir;             // absolute: the daemon's --root
  std::vector<std::string> lowers;  // relative to base_dir, topmost first
  std::string upper;                // relative; empty with `work`: read-only
  std::string work;                 //   overlay of the lowers alone
  bool readonly = false;
  Propagation propagation = Propagation::kSlave;
  // overlay's "volatile": fsync and syncfs in the container cost nothing,
  // and its end does not wait for the disk. Right for a layer that nothing
  // reads after a crash of the node; a work directory left by such a crash
  // cannot be mounted again.
  bool is_volatile = false;
};

// A bind mount of a host path (file or directory). The source is opened in
// the host's namespace, the target inside the rootfs (created if missing)
// with openat2(RESOLVE_IN_ROOT).
struct BindMount {
  std::string source;
  std::string target;
  bool readonly = false;
  // mount_setattr(AT_RECURSIVE) with MOUNT_ATTR_RDONLY.
  bool recursive_readonly = false;
  // Of the mount itself, not of those below.
  bool nosuid = false;
  bool nodev = false;
  bool noexec = false;
  Propagation propagation = Propagation::kPrivate;
  // The source is not a path but the pod's /dev/shm (LaunchFds.pod_shm_fd),
  // which lives in no namespace of the host's.
  bool pod_shm = false;
  // Files show with the ids that the pod's user namespace gives theirs
  // (mount_setattr(2), MOUNT_ATTR_IDMAP). Mounts below that cannot are left
  // unmapped; if the source itself cannot, the launch fails.
  bool mapped_ids = false;
  // The source is an image: its layers, relative to the rootfs' base_dir,
  // topmost first. Read-only, no programs, no devices.
  std::vector<std::string> image_layers;
  std::string image_sub_path;  // relative; empty: all of it
};

// A kernel file system: proc, sysfs, tmpfs, devpts, mqueue, cgroup2.
struct KernelMount {
  std::string type;
  std::string target;
  std::string data;
  uint64_t flags = 0;  // MS_* of mount(2)
};

struct DeviceNode {
  std::string path;  // inside the rootfs
  char type = 'c';
  uint32_t major = 0;
  uint32_t minor = 0;
  mode_t mode = 0666;
  uid_t uid = 0;
  gid_t gid = 0;
};

struct Symlink {
  std::string path;    // inside the rootfs
  std::string target;  // anything; not followed here
};

struct Rlimit {
  int resource = 0;
  uint64_t soft = 0;
  uint64_t hard = 0;
};

// Bits of capabilities(7). Inheritable stays empty, but for the ambient ones:
// the kernel wants those in it (capabilities(7), "ambient").
struct Capabilities {
  uint64_t bounding = 0;
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t ambient = 0;
};

// With a user namespace (LaunchFds.pod_userns_fd) the ids elsewhere in the
// plan are those inside of it; these are the host's.
struct UserNamespace {
  bool enabled = false;
  uid_t root_uid = 0;  // whom 0 inside is
  gid_t root_gid = 0;
  uid_t stdio_uid = 0;  // whom LaunchSpec.uid is
  // The network namespace is not the user namespace's: /sys is the host's,
  // for nobody may mount one there.
  bool host_sysfs = false;
};

struct LaunchSpec {
  Kind kind = Kind::kContainer;

  std::vector<std::string> argv;  // argv[0] is looked up in env's PATH
  std::vector<std::string> env;   // KEY=VALUE
  std::string working_dir = "/";  // created if missing (containers only)

  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary, complete
  mode_t umask = 022;

  Capabilities capabilities;
  bool no_new_privs = false;
  // Compiled BPF (struct sock_filter array); empty: no filter.
  std::string seccomp_program;
  uint32_t seccomp_flags = 0;    // SECCOMP_FILTER_FLAG_*
  std::string apparmor_profile;  // empty: unconfined
  std::vector<Rlimit> rlimits;
  // -1000 … 1000. Lowering below the monitor's own needs CAP_SYS_RESOURCE;
  // EACCES there is tolerated (architecture.md, "Test beds").
  int oom_score_adj = 0;
  bool set_oom_score_adj = false;
  bool terminal = false;

  UserNamespace user_namespace;
  PidNamespace pid_namespace = PidNamespace::kOwn;
  // kTarget: a process in the PID namespace to join. kExec: the container's
  // init, whose namespaces (mnt, pid, cgroup, and the pod's) are joined.
  pid_t target_pid = 0;
  // The init process's start time (field 22 of stat): a reused pid is
  // refused with ESRCH, and so is 0.
  uint64_t target_start_ticks = 0;
  // A cgroup namespace rooted at the container's leaf. Without one, a
  // kernel mount of cgroup2 is refused (EPERM): made in the initial cgroup
  // namespace it would change the options of the host's (cgroups(7)).
  bool own_cgroup_namespace = true;

  // Containers and restores only from here on.
  Rootfs rootfs;
  std::vector<KernelMount> kernel_mounts;  // in order, before bind mounts
  std::vector<DeviceNode> devices;
  std::vector<Symlink> symlinks;  // one that exists is left alone
  std::vector<BindMount> mounts;  // in order: an outer before its inner
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  // No sysctls: the namespaces they belong to are the pod's.
};

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_LAUNCH_SPEC_H_
