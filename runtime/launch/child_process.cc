#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"
#include "runtime/launch/clone_in_user_namespace.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::launch {
namespace {

// As the kernel counts them; libc hides two real-time signals.
constexpr int kSignals = 64;

// rt_sigaction's argument, all zero: SIG_DFL, no flags, empty mask.
struct KernelSigaction {
  void* handler;
  unsigned long flags;
  void* restorer;
  uint64_t mask;
};

void ResetSignals() {
  const KernelSigaction dfl = {};
  for (int signal = 1; signal <= kSignals; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    syscall(SYS_rt_sigaction, signal, &dfl, nullptr, sizeof(dfl.mask));
  }
  const uint64_t none = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof(none));
}

// The cgroup was joined by the clone. A mask that the monitor got from
// systemd or from its housekeeping CPUs would stay in force inside the
// leaf's cpuset from kernel 6.2 on ("user requested mask").
void ResetAffinity(const Child& child) {
  unsigned char all[1024];
  memset(all, 0xff, sizeof(all));
  if (syscall(SYS_sched_setaffinity, 0, sizeof(all), all) != 0) {
    Die(child, kStepAffinity, "sched_setaffinity");
  }
}

// Decimal, into the end of `buffer`; returns its start.
char* Decimal(int value, char* end) {
  *--end = '\0';
  const bool negative = value < 0;
  unsigned rest = negative ? 0u - static_cast<unsigned>(value)
                           : static_cast<unsigned>(value);
  do {
    *--end = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (negative) *--end = '-';
  return end;
}

void SetOomScore(const Child& child) {
  // In a user namespace it was inherited (CloneInUserNamespace).
  const WireHeader& h = child.plan->header();
  if (!child.plan->Has(kFlagSetOomScoreAdj) ||
      (child.plan->HasUserNamespace() &&
       h.kind == static_cast<uint32_t>(Kind::kContainer))) {
    return;
  }
  // Without CAP_SYS_RESOURCE, as in any container, it cannot be lowered; the
  // daemon warns of that at its start.
  if (!SetOomScoreAdj(h.oom_score_adj)) {
    char buffer[16];
    Die(child, kStepOomScore,
        Decimal(h.oom_score_adj, buffer + sizeof(buffer)));
  }
}

// In force from the next exec on.
void SetAppArmor(const Child& child) {
  const char* profile =
      child.plan->String(child.plan->header().apparmor_profile);
  if (*profile == '\0') return;
  int fd = open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
  if (fd < 0) fd = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
  if (fd < 0) Die(child, kStepAppArmor, profile);
  char command[256] = "exec ";
  const size_t length = strlen(profile);
  if (length >= sizeof(command) - 5) {
    errno = ENAMETOOLONG;
    Die(child, kStepAppArmor, profile);
  }
  memcpy(command + 5, profile, length);
  if (write(fd, command, length + 5) < 0) Die(child, kStepAppArmor, profile);
  close(fd);
}

}  // namespace

void StartProcess(const Child& child) {
  if (setsid() < 0) Die(child, kStepSession, "setsid");
  // Or the container would share keys with the monitor. Kernels without
  // keys, and a spent quota, are no reason not to start.
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr, 0, 0, 0);
  ResetSignals();
  ResetAffinity(child);
  SetOomScore(child);
  SetAppArmor(child);
}

void JoinContainer(Child& child) {
  // The PID namespace was joined by the parent (it is the children's); the
  // cgroup namespace is the container's, though the exec's cgroup is a child
  // of its leaf.
  constexpr int kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWNET |
                              CLONE_NEWIPC | CLONE_NEWUTS;
  const bool mapped = child.plan->HasUserNamespace();
  if (setns(child.target_pidfd, kNamespaces | (mapped ? CLONE_NEWUSER : 0)) !=
      0) {
    Die(child, kStepNamespaces, "setns");
  }
  if (mapped) TakeMappedRoot(child);
  close(child.target_pidfd);
  child.target_pidfd = -1;
  child.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (child.root_fd < 0) Die(child, kStepNamespaces, "/");
}

void SetRlimits(const Child& child) {
  for (const WireRlimit r :
       child.plan->Array<WireRlimit>(child.plan->header().rlimits)) {
    const struct { uint64_t soft, hard; } limit = {r.soft, r.hard};
    if (syscall(SYS_prlimit64, 0, r.resource, &limit, nullptr) != 0) {
      char buffer[16];
      Die(child, kStepRlimit, Decimal(r.resource, buffer + sizeof(buffer)));
    }
  }
}

}  // namespace pinion::launch
