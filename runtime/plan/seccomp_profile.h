// A seccomp profile in pinion's own terms, and its compilation to BPF.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_SECCOMP_PROFILE_H_
#define PINION_RUNTIME_PLAN_SECCOMP_PROFILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::plan {

// One condition on a syscall's argument; all of a rule's must hold.
struct SeccompCondition {
  unsigned index = 0;   // 0 … 5
  int op = 0;           // enum scmp_compare
  uint64_t value = 0;   // with SCMP_CMP_MASKED_EQ: the mask
  uint64_t second = 0;  // with SCMP_CMP_MASKED_EQ: what it must equal
};

struct SeccompRule {
  std::vector<std::string> names;  // unknown ones are left out
  uint32_t action = 0;             // SCMP_ACT_*
  std::vector<SeccompCondition> conditions;
};

// Rules are already those for the container's capabilities, architecture and
// kernel; where two fit, the one for fewer calls (with conditions) wins.
struct SeccompProfile {
  uint32_t default_action = 0;          // SCMP_ACT_*
  std::vector<uint32_t> architectures;  // SCMP_ARCH_*; the native one always
  std::vector<SeccompRule> rules;
  uint32_t flags = 0;  // SECCOMP_FILTER_FLAG_* for seccomp(2)
};

struct SeccompFilter {
  std::string program;  // struct sock_filter bytes
  uint32_t flags = 0;
};

// struct sock_filter bytes for LaunchSpec.seccomp_program.
//
// A call by an architecture that the profile does not list ends the process,
// so that another table of numbers is no way around it. If the default is an
// errno, syscalls that are newer than this program knows get ENOSYS, on
// which libraries fall back to the older way; EPERM would make them fail.
//
// InvalidArgument: the program would exceed what the kernel takes.
absl::StatusOr<std::string> CompileSeccomp(const SeccompProfile& profile);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_SECCOMP_PROFILE_H_
