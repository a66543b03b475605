#include "runtime/plan/seccomp_profile.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/unique_fd.h"
#include "runtime/plan/seccomp_compact.h"
#include "runtime/plan/seccomp_modern.h"

namespace pinion::plan {
namespace {

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

// libseccomp returns negative errnos.
absl::Status Check(int result, const std::string& what) {
  if (result >= 0) return absl::OkStatus();
  return os::ErrnoStatus(-result, what);
}

bool IsErrno(uint32_t action) {
  return (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
}

// AUDIT_ARCH_* that the kernel reports for calls of an architecture. Its
// tokens are those values but for x32, which calls itself x86-64.
std::vector<uint32_t> AuditArchitectures(const std::vector<uint32_t>& listed,
                                         bool* x32) {
  std::vector<uint32_t> result = {seccomp_arch_native()};
  *x32 = false;
  for (const uint32_t arch : listed) {
    if (arch == SCMP_ARCH_X32) {
      *x32 = true;
    } else if (std::find(result.begin(), result.end(), arch) == result.end()) {
      result.push_back(arch);
    }
  }
  return result;
}

absl::Status AddRule(scmp_filter_ctx filter, const SeccompRule& rule,
                     const std::string& name, ModernFilter& modern) {
  const int number = seccomp_syscall_resolve_name(name.c_str());
  if (number == __NR_SCMP_ERROR) {
    const int newer = ModernSyscall(name);
    // With conditions it stays at the default: nothing here can check them.
    if (newer >= 0 && rule.conditions.empty()) {
      modern.actions[static_cast<uint32_t>(newer)] = rule.action;
    }
    return absl::OkStatus();
  }
  std::vector<scmp_arg_cmp> conditions;
  for (const SeccompCondition& c : rule.conditions) {
    scmp_arg_cmp compare = {};
    compare.arg = c.index;
    compare.op = static_cast<scmp_compare>(c.op);
    compare.datum_a = c.value;
    compare.datum_b = c.second;
    conditions.push_back(compare);
  }
  const int result = seccomp_rule_add_array(
      filter, rule.action, number, static_cast<unsigned>(conditions.size()),
      conditions.data());
  // EEXIST: said before, if in other words.
  if (result == -EEXIST) return absl::OkStatus();
  return Check(result, absl::StrCat("seccomp rule for ", name));
}

absl::StatusOr<std::string> Export(scmp_filter_ctx filter) {
  const os::UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file.valid()) return os::ErrnoStatus("memfd_create");
  PINION_RETURN_IF_ERROR(
      Check(seccomp_export_bpf(filter, file.get()), "export seccomp filter"));
  if (lseek(file.get(), 0, SEEK_SET) != 0) return os::ErrnoStatus("lseek");
  return os::ReadFd(file.get(), "seccomp filter");
}

absl::StatusOr<Filter> NewFilter(const SeccompProfile& profile) {
  Filter filter(seccomp_init(profile.default_action));
  if (filter == nullptr) {
    return absl::InvalidArgumentError("seccomp profile: bad default action");
  }
  for (const uint32_t arch : profile.architectures) {
    const int added = seccomp_arch_add(filter.get(), arch);
    if (added != -EEXIST) {
      PINION_RETURN_IF_ERROR(Check(added, "add seccomp architecture"));
    }
  }
  PINION_RETURN_IF_ERROR(
      Check(seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH,
                             SCMP_ACT_KILL_PROCESS),
            "set action for foreign architectures"));
  // A binary search instead of a chain; a few steps for any call.
  PINION_RETURN_IF_ERROR(
      Check(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2),
            "optimize seccomp filter"));
  return filter;
}

}  // namespace

absl::StatusOr<std::string> CompileSeccomp(const SeccompProfile& profile) {
  PINION_ASSIGN_OR_RETURN(const Filter filter, NewFilter(profile));
  ModernFilter modern;
  modern.architectures = AuditArchitectures(profile.architectures, &modern.x32);
  modern.otherwise = profile.default_action;
  for (const SeccompRule& rule : profile.rules) {
    // libseccomp refuses rules that change nothing.
    if (rule.action == profile.default_action) continue;
    for (const std::string& name : rule.names) {
      PINION_RETURN_IF_ERROR(AddRule(filter.get(), rule, name, modern));
    }
  }
  PINION_ASSIGN_OR_RETURN(const std::string exported, Export(filter.get()));
  std::vector<struct sock_filter> program;
  if (IsErrno(profile.default_action) || !modern.actions.empty()) {
    program = CompileModern(modern);
  }
  const size_t start = program.size();
  program.resize(start + exported.size() / sizeof(program[0]));
  memcpy(&program[start], exported.data(), exported.size());
  program = CompactSeccomp(program, modern.architectures);
  if (program.size() > BPF_MAXINSNS) {
    return absl::InvalidArgumentError(
        absl::StrCat("seccomp profile: its program is longer than ",
                     BPF_MAXINSNS, " instructions"));
  }
  return std::string(reinterpret_cast<const char*>(program.data()),
                     program.size() * sizeof(program[0]));
}

}  // namespace pinion::plan
