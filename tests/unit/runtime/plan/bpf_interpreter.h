// Runs compiled seccomp programs on the data the kernel would show them: a
// small interpreter of classic BPF, for tests.

#ifndef PINION_TESTS_UNIT_RUNTIME_PLAN_BPF_INTERPRETER_H_
#define PINION_TESTS_UNIT_RUNTIME_PLAN_BPF_INTERPRETER_H_

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstring>
#include <string>
#include <vector>

namespace pinion::plan {

inline uint32_t Load(const seccomp_data& data, uint32_t offset) {
  uint32_t word = 0;
  EXPECT_LE(offset + 4, sizeof(data));
  memcpy(&word, reinterpret_cast<const char*>(&data) + offset, 4);
  return word;
}

inline bool Jumps(const sock_filter& op, uint32_t a) {
  switch (BPF_OP(op.code)) {
    case BPF_JEQ:
      return a == op.k;
    case BPF_JGT:
      return a > op.k;
    case BPF_JGE:
      return a >= op.k;
    default:
      return (a & op.k) != 0;  // BPF_JSET
  }
}

// What the program returns; every instruction it can hold is known here.
inline uint32_t Decide(const std::string& program, const seccomp_data& data) {
  std::vector<sock_filter> ops(program.size() / sizeof(sock_filter));
  memcpy(ops.data(), program.data(), program.size());
  uint32_t a = 0;
  for (size_t pc = 0; pc < ops.size(); ++pc) {
    const sock_filter& op = ops[pc];
    switch (BPF_CLASS(op.code)) {
      case BPF_LD:
        a = Load(data, op.k);
        break;
      case BPF_ALU:
        EXPECT_EQ(BPF_OP(op.code), BPF_AND);
        a &= op.k;
        break;
      case BPF_JMP:
        if (BPF_OP(op.code) == BPF_JA) {
          pc += op.k;
        } else {
          pc += Jumps(op, a) ? op.jt : op.jf;
        }
        break;
      case BPF_RET:
        return op.k;
      default:
        ADD_FAILURE() << "instruction " << op.code;
        return 0;
    }
  }
  ADD_FAILURE() << "ran off the end";
  return 0;
}

inline seccomp_data Call(int number, uint64_t arg0 = 0, uint64_t arg1 = 0,
                         uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data = {};
  data.nr = number;
  data.arch = arch;
  data.args[0] = arg0;
  data.args[1] = arg1;
  return data;
}

}  // namespace pinion::plan

#endif  // PINION_TESTS_UNIT_RUNTIME_PLAN_BPF_INTERPRETER_H_
