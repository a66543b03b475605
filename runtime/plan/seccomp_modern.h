// Syscalls that are younger than libseccomp's table. From 424 on a syscall
// has the same number on every architecture.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_SECCOMP_MODERN_H_
#define PINION_RUNTIME_PLAN_SECCOMP_MODERN_H_

#include <linux/filter.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pinion::plan {

// The number of a syscall that libseccomp may not know; -1 if unknown here,
// too.
int ModernSyscall(const std::string& name);

// BPF that decides calls libseccomp knows nothing of, to be put in front of
// its program: `actions` (by number, SECCOMP_RET_*) for what the profile
// names, `otherwise` for what it does not, ENOSYS for what nobody here knew;
// everything else goes on to the program behind. `architectures` are
// AUDIT_ARCH_*, and `x32` says whether x86-64's second table is among them.
struct ModernFilter {
  std::vector<uint32_t> architectures;
  bool x32 = false;
  uint32_t otherwise = 0;
  std::map<uint32_t, uint32_t> actions;
};
std::vector<struct sock_filter> CompileModern(const ModernFilter& filter);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_SECCOMP_MODERN_H_
