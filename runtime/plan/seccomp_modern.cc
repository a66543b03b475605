#include "runtime/plan/seccomp_modern.h"

#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace pinion::plan {
namespace {

struct Syscall {
  const char* name;
  int number;
};

// As of Linux 6.18 (arch/x86/entry/syscalls/syscall_64.tbl).
constexpr Syscall kModern[] = {
    {"set_mempolicy_home_node", 450},
    {"cachestat", 451},
    {"fchmodat2", 452},
    {"map_shadow_stack", 453},
    {"futex_wake", 454},
    {"futex_wait", 455},
    {"futex_requeue", 456},
    {"statmount", 457},
    {"listmount", 458},
    {"lsm_get_self_attr", 459},
    {"lsm_set_self_attr", 460},
    {"lsm_list_modules", 461},
    {"mseal", 462},
    {"setxattrat", 463},
    {"getxattrat", 464},
    {"listxattrat", 465},
    {"removexattrat", 466},
    {"open_tree_attr", 467},
    {"file_getattr", 468},
    {"file_setattr", 469},
};
constexpr uint32_t kNewest = 469;

constexpr uint32_t kX32Bit = 0x40000000;

// The highest number libseccomp has a name for.
uint32_t NewestOfLibseccomp() {
  static const uint32_t newest = [] {
    for (int number = 1000; number > 400; --number) {
      char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
      if (name == nullptr) continue;
      free(name);
      return static_cast<uint32_t>(number);
    }
    return uint32_t{400};
  }();
  return newest;
}

}  // namespace

int ModernSyscall(const std::string& name) {
  for (const Syscall& syscall : kModern) {
    if (name == syscall.name) return syscall.number;
  }
  return -1;
}

std::vector<struct sock_filter> CompileModern(const ModernFilter& filter) {
  const uint32_t known = NewestOfLibseccomp();
  std::vector<struct sock_filter> body;
  body.push_back(
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
  if (filter.x32) {
    body.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~kX32Bit));
  }
  // Where a jump says kOut it leaves for the program behind.
  constexpr uint8_t kOut = 0xff;
  if (!filter.x32) {
    body.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kX32Bit, kOut, 0));
  }
  body.push_back(BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, known, 0, kOut));
  body.push_back(
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, std::max(known, kNewest), 0, 1));
  body.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
  for (const auto& [number, action] : filter.actions) {
    if (number <= known) continue;
    body.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    body.push_back(BPF_STMT(BPF_RET | BPF_K, action));
  }
  body.push_back(BPF_STMT(BPF_RET | BPF_K, filter.otherwise));
  for (size_t i = 0; i < body.size(); ++i) {
    const auto out = static_cast<uint8_t>(body.size() - i - 1);
    if (BPF_CLASS(body[i].code) != BPF_JMP) continue;
    if (body[i].jt == kOut) body[i].jt = out;
    if (body[i].jf == kOut) body[i].jf = out;
  }

  // Only for the architectures of the profile: what it does not list must
  // reach libseccomp's check.
  std::vector<struct sock_filter> program;
  program.push_back(
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
  const size_t count = filter.architectures.size();
  for (size_t i = 0; i < count; ++i) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                               filter.architectures[i],
                               static_cast<uint8_t>(count - i), 0));
  }
  program.push_back(
      BPF_STMT(BPF_JMP | BPF_JA, static_cast<uint32_t>(body.size())));
  program.insert(program.end(), body.begin(), body.end());
  return program;
}

}  // namespace pinion::plan
