#include "runtime/plan/seccomp_default.h"

#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/personality.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"

namespace pinion::plan {
namespace {

// Names of syscalls, separated by single blanks.
constexpr char kFiles[] =
    "_llseek access cachestat chdir chmod chown chown32 close close_range "
    "copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 "
    "fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 "
    "fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr "
    "file_getattr file_setattr flistxattr flock fremovexattr fsetxattr "
    "fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 "
    "futimesat getcwd getdents getdents64 getxattr getxattrat "
    "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl "
    "lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr "
    "lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat "
    "name_to_handle_at newfstatat oldfstat oldlstat oldstat open openat "
    "openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read "
    "readahead readlink readlinkat readv removexattr removexattrat rename "
    "renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat "
    "splice stat stat64 statfs statfs64 statx symlink symlinkat sync "
    "sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat "
    "utime utimensat utimensat_time64 utimes vmsplice write writev";

constexpr char kMemory[] =
    "brk get_thread_area madvise map_shadow_stack membarrier memfd_create "
    "memfd_secret mincore mlock mlock2 mlockall mmap mmap2 modify_ldt "
    "mprotect mremap mseal msync munlock munlockall munmap pkey_alloc "
    "pkey_free pkey_mprotect remap_file_pages set_thread_area";

constexpr char kProcesses[] =
    "arch_prctl execve execveat exit exit_group fork futex futex_requeue "
    "futex_time64 futex_wait futex_waitv futex_wake get_robust_list getcpu "
    "getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid "
    "gettid ioprio_get ioprio_set kill pidfd_getfd pidfd_open "
    "pidfd_send_signal prctl prlimit64 process_madvise process_mrelease "
    "process_vm_readv process_vm_writev ptrace rseq sched_get_priority_max "
    "sched_get_priority_min sched_getaffinity sched_getattr sched_getparam "
    "sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler "
    "sched_yield set_robust_list set_tid_address setpgid setpriority "
    "setrlimit setsid times ugetrlimit vfork wait4 waitid waitpid";

constexpr char kIdentity[] =
    "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 "
    "getgroups getgroups32 getresgid getresgid32 getresuid getresuid32 "
    "getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid "
    "setgid32 setgroups setgroups32 setregid setregid32 setresgid "
    "setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32";

constexpr char kSignalsAndTime[] =
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres "
    "clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep "
    "clock_nanosleep_time64 getitimer gettimeofday nanosleep pause "
    "restart_syscall rt_sigaction rt_sigpending rt_sigprocmask "
    "rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo setitimer sigaction "
    "sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn "
    "sigsuspend tgkill time timer_create timer_delete timer_getoverrun "
    "timer_gettime timer_gettime64 timer_settime timer_settime64 "
    "timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 tkill";

constexpr char kWaiting[] =
    "_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
    "epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 "
    "io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 "
    "io_setup io_submit pipe pipe2 poll ppoll ppoll_time64 pselect6 "
    "pselect6_time64 select";

constexpr char kCommunication[] =
    "accept accept4 bind connect getpeername getsockname getsockopt ipc "
    "listen mq_getsetattr mq_notify mq_open mq_timedreceive "
    "mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink "
    "msgctl msgget msgrcv msgsnd recv recvfrom recvmmsg recvmmsg_time64 "
    "recvmsg semctl semget semop semtimedop semtimedop_time64 send sendmmsg "
    "sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown "
    "socketcall socketpair";

constexpr char kSystemInformation[] =
    "getrandom landlock_add_rule landlock_create_ruleset "
    "landlock_restrict_self listmount lsm_get_self_attr lsm_list_modules "
    "lsm_set_self_attr oldolduname olduname seccomp statmount sysinfo uname";

// What a capability brings back.
struct Grant {
  int capability;
  const char* names;
};

constexpr Grant kGrants[] = {
    {CAP_DAC_READ_SEARCH, "open_by_handle_at"},
    {CAP_SYS_ADMIN,
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick "
     "lookup_dcookie mount mount_setattr move_mount open_tree "
     "open_tree_attr perf_event_open quotactl quotactl_fd setdomainname "
     "sethostname setns syslog umount umount2 unshare"},
    {CAP_SYS_BOOT, "reboot"},
    {CAP_SYS_CHROOT, "chroot"},
    {CAP_SYS_MODULE, "delete_module finit_module init_module"},
    {CAP_SYS_PACCT, "acct"},
    {CAP_SYS_PTRACE, "kcmp"},
    {CAP_SYS_RAWIO, "ioperm iopl"},
    {CAP_SYS_TIME, "clock_settime clock_settime64 settimeofday stime"},
    {CAP_SYS_TTY_CONFIG, "vhangup"},
    {CAP_SYS_NICE,
     "get_mempolicy mbind migrate_pages move_pages set_mempolicy "
     "set_mempolicy_home_node"},
    {CAP_SYSLOG, "syslog"},
    {CAP_BPF, "bpf"},
    {CAP_PERFMON, "perf_event_open"},
};

bool Has(uint64_t capabilities, int capability) {
  return (capabilities >> capability & 1) != 0;
}

SeccompRule Allow(const char* names) {
  return {absl::StrSplit(names, ' '), SCMP_ACT_ALLOW, {}};
}

// Threads and processes, but no new namespace.
void AddClone(SeccompProfile& profile) {
  constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP |
                                   CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                   CLONE_NEWPID | CLONE_NEWNET;
  profile.rules.push_back(
      {{"clone"}, SCMP_ACT_ALLOW, {{0, SCMP_CMP_MASKED_EQ, kNamespaces, 0}}});
  // Its flags lie in memory, out of a filter's sight. Libraries fall back to
  // clone on ENOSYS, and only on that.
  profile.rules.push_back({{"clone3"}, SCMP_ACT_ERRNO(ENOSYS), {}});
}

// Linux, its 32-bit and 2.6-version disguises, and asking which it is.
void AddPersonality(SeccompProfile& profile) {
  constexpr uint64_t kLinux = PER_LINUX;
  constexpr uint64_t kLinux32 = PER_LINUX32;
  constexpr uint64_t kVersion26 = UNAME26;
  constexpr uint64_t kAllowed[] = {kLinux, kLinux32, kVersion26,
                                   kLinux32 | kVersion26, 0xffffffff};
  for (const uint64_t persona : kAllowed) {
    profile.rules.push_back(
        {{"personality"}, SCMP_ACT_ALLOW, {{0, SCMP_CMP_EQ, persona, 0}}});
  }
}

// Any family but AF_VSOCK, which reaches the hypervisor past every network
// namespace. The kernel takes an int, so what stands in the upper half must
// not matter: a family is another one if one of its low six bits differs.
// (A 32-bit program's socketcall hides the family in memory.)
void AddSocket(SeccompProfile& profile) {
  static_assert(AF_MAX <= 64);
  for (unsigned bit = 0; bit < 6; ++bit) {
    const uint64_t mask = uint64_t{1} << bit;
    profile.rules.push_back(
        {{"socket"},
         SCMP_ACT_ALLOW,
         {{0, SCMP_CMP_MASKED_EQ, mask, ~uint64_t{AF_VSOCK} & mask}}});
  }
}

std::vector<uint32_t> Architectures() {
  switch (seccomp_arch_native()) {
    case SCMP_ARCH_X86_64:
      return {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32};
    case SCMP_ARCH_AARCH64:
      return {SCMP_ARCH_AARCH64, SCMP_ARCH_ARM};
    default:
      return {seccomp_arch_native()};
  }
}

}  // namespace

SeccompProfile DefaultSeccompProfile(uint64_t capabilities) {
  SeccompProfile profile;
  profile.default_action = SCMP_ACT_ERRNO(EPERM);
  profile.architectures = Architectures();
  for (const char* names :
       {kFiles, kMemory, kProcesses, kIdentity, kSignalsAndTime, kWaiting,
        kCommunication, kSystemInformation}) {
    profile.rules.push_back(Allow(names));
  }
  for (const Grant& grant : kGrants) {
    if (!Has(capabilities, grant.capability)) continue;
    profile.rules.push_back(Allow(grant.names));
  }
  if (!Has(capabilities, CAP_SYS_ADMIN)) AddClone(profile);
  AddPersonality(profile);
  AddSocket(profile);
  return profile;
}

}  // namespace pinion::plan
