#include "runtime/plan/seccomp_compact.h"

#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>

#include "os/file.h"
#include "os/unique_fd.h"
#include "runtime/plan/seccomp_default.h"
#include "runtime/plan/seccomp_modern.h"
#include "tests/unit/runtime/plan/bpf_interpreter.h"

namespace pinion::plan {
namespace {

using Program = std::vector<sock_filter>;

constexpr uint32_t kArchitectures[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386,
                                       AUDIT_ARCH_AARCH64, 0};

std::string Bytes(const Program& program) {
  return std::string(reinterpret_cast<const char*>(program.data()),
                     program.size() * sizeof(sock_filter));
}

// libseccomp's own program for pinion's default profile.
Program FromLibseccomp(const SeccompProfile& profile, uint32_t optimize) {
  scmp_filter_ctx filter = seccomp_init(profile.default_action);
  for (const uint32_t arch : profile.architectures) {
    seccomp_arch_add(filter, arch);
  }
  seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, optimize);
  for (const SeccompRule& rule : profile.rules) {
    std::vector<scmp_arg_cmp> conditions;
    for (const SeccompCondition& c : rule.conditions) {
      conditions.push_back(
          {c.index, static_cast<scmp_compare>(c.op), c.value, c.second});
    }
    for (const std::string& name : rule.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number == __NR_SCMP_ERROR) continue;
      seccomp_rule_add_array(filter, rule.action, number,
                             static_cast<unsigned>(conditions.size()),
                             conditions.data());
    }
  }
  const os::UniqueFd file(memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(seccomp_export_bpf(filter, file.get()), 0);
  seccomp_release(filter);
  EXPECT_EQ(lseek(file.get(), 0, SEEK_SET), 0);
  const std::string bytes = os::ReadFd(file.get(), "filter").value();
  Program program(bytes.size() / sizeof(sock_filter));
  memcpy(program.data(), bytes.data(), bytes.size());
  return program;
}

// Arguments that conditions look at, and others.
std::vector<uint64_t> SomeArguments() {
  std::vector<uint64_t> arguments = {
      0,  1,       2,        8,          17,
      40, 0x20000, 0x400000, 0xffffffff, uint64_t{1} << 32 | 40};
  std::mt19937_64 random(11);
  for (int i = 0; i < 8; ++i) arguments.push_back(random());
  return arguments;
}

void ExpectSameDecisions(const Program& a, const Program& b) {
  const std::string before = Bytes(a);
  const std::string after = Bytes(b);
  std::vector<int> numbers;
  for (int number = 0; number < 600; ++number) {
    numbers.push_back(number);
    numbers.push_back(number | 0x40000000);
  }
  std::mt19937 random(5);
  for (int i = 0; i < 300; ++i) numbers.push_back(static_cast<int>(random()));
  for (const int extreme : {-1, INT_MIN, INT_MAX}) numbers.push_back(extreme);
  for (const uint32_t arch : kArchitectures) {
    for (const int number : numbers) {
      for (const uint64_t argument : SomeArguments()) {
        const seccomp_data call = Call(number, argument, argument, arch);
        ASSERT_EQ(Decide(before, call), Decide(after, call))
            << arch << " " << number << " " << argument;
      }
    }
  }
}

TEST(SeccompCompactTest, DecidesAsTheProgramItWasMadeFrom) {
  for (const uint64_t caps : {uint64_t{0}, ~uint64_t{0}}) {
    for (const uint32_t optimize : {1u, 2u}) {
      const SeccompProfile profile = DefaultSeccompProfile(caps);
      ModernFilter modern;
      modern.architectures = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386};
      modern.x32 = true;
      modern.otherwise = profile.default_action;
      modern.actions = {{462, SCMP_ACT_ALLOW}, {467, SCMP_ACT_KILL_PROCESS}};
      Program program = CompileModern(modern);
      const Program rest = FromLibseccomp(profile, optimize);
      program.insert(program.end(), rest.begin(), rest.end());
      const Program compact = CompactSeccomp(program, modern.architectures);
      EXPECT_LT(compact.size(), program.size() / 2);
      ExpectSameDecisions(program, compact);
    }
  }
}

TEST(SeccompCompactTest, UnknownInstructionsAreLeftAlone) {
  const Program program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 1),
      BPF_STMT(BPF_RET | BPF_K, 2),
  };
  const Program compact = CompactSeccomp(program, {AUDIT_ARCH_X86_64});
  EXPECT_EQ(Bytes(compact), Bytes(program));
}

TEST(SeccompCompactTest, ProgramWithoutAnEndIsLeftAlone) {
  const Program program = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
  EXPECT_EQ(CompactSeccomp(program, {AUDIT_ARCH_X86_64}).size(), 1u);
}

}  // namespace
}  // namespace pinion::plan
