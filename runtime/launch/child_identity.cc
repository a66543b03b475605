#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"

namespace pinion::launch {
namespace {

struct CapabilitySets {
  uint64_t effective;
  uint64_t permitted;
  uint64_t inheritable;
};

void SetCapabilities(const Child& child, const CapabilitySets& sets) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  for (int half = 0; half < 2; ++half) {
    data[half].effective = static_cast<uint32_t>(sets.effective >> 32 * half);
    data[half].permitted = static_cast<uint32_t>(sets.permitted >> 32 * half);
    data[half].inheritable =
        static_cast<uint32_t>(sets.inheritable >> 32 * half);
  }
  if (syscall(SYS_capset, &header, data) != 0) {
    Die(child, kStepCapabilities, "capset");
  }
}

uint64_t PermittedCapabilities(const Child& child) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) {
    Die(child, kStepCapabilities, "capget");
  }
  return data[0].permitted | uint64_t{data[1].permitted} << 32;
}

void DropBounding(const Child& child, uint64_t keep) {
  for (int cap = 0; cap < 64; ++cap) {
    if ((keep >> cap & 1) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) return;  // beyond what this kernel knows
    Die(child, kStepCapabilities, "PR_CAPBSET_DROP");
  }
}

void RaiseAmbient(const Child& child, uint64_t caps) {
  for (int cap = 0; cap < 64; ++cap) {
    if ((caps >> cap & 1) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0) {
      Die(child, kStepCapabilities, "PR_CAP_AMBIENT_RAISE");
    }
  }
}

// Raw: libc's functions would signal threads that are not there.
void SetUser(const Child& child) {
  const WireHeader& h = child.plan->header();
  if (syscall(SYS_setgroups, h.groups.count, child.plan->Bytes(h.groups)) !=
      0) {
    Die(child, kStepUser, "setgroups");
  }
  if (syscall(SYS_setresgid, h.gid, h.gid, h.gid) != 0) {
    Die(child, kStepUser, "setresgid");
  }
  if (syscall(SYS_setresuid, h.uid, h.uid, h.uid) != 0) {
    Die(child, kStepUser, "setresuid");
  }
}

void LoadSeccomp(const Child& child) {
  const WireArray& program = child.plan->header().seccomp_program;
  if (program.count == 0) return;
  struct sock_fprog filter = {};
  filter.len = static_cast<unsigned short>(program.count);
  filter.filter = const_cast<struct sock_filter*>(
      reinterpret_cast<const struct sock_filter*>(child.plan->Bytes(program)));
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
              child.plan->header().seccomp_flags, &filter) != 0) {
    Die(child, kStepSeccomp, "filter");
  }
}

}  // namespace

void TakeIdentity(const Child& child) {
  const WireHeader& h = child.plan->header();
  const bool no_new_privs = child.plan->Has(kFlagNoNewPrivs);
  DropBounding(child, h.cap_bounding);
  // The permitted capabilities outlive the change of user, until capset.
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) {
    Die(child, kStepCapabilities, "PR_SET_KEEPCAPS");
  }
  SetUser(child);
  const CapabilitySets wanted = {h.cap_effective, h.cap_permitted,
                                 h.cap_ambient};
  // Loading a filter needs CAP_SYS_ADMIN or no_new_privs. With the latter it
  // is the very last step; without, the few calls after it (capset, prctl,
  // execve, write) must pass it.
  if (!no_new_privs && h.seccomp_program.count > 0) {
    const uint64_t all = PermittedCapabilities(child);
    SetCapabilities(child, {all, all, 0});
    LoadSeccomp(child);
  }
  SetCapabilities(child, wanted);
  RaiseAmbient(child, h.cap_ambient);
  if (no_new_privs) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
      Die(child, kStepCapabilities, "PR_SET_NO_NEW_PRIVS");
    }
    LoadSeccomp(child);
  }
}

}  // namespace pinion::launch
