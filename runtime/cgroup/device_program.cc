#include "runtime/cgroup/device_program.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::cgroup {
namespace {

constexpr size_t kMaxRules = 256;

// Registers: R1 is the context at entry; these hold its fields afterwards.
constexpr uint8_t kType = BPF_REG_2;
constexpr uint8_t kAccess = BPF_REG_3;
constexpr uint8_t kMajor = BPF_REG_4;
constexpr uint8_t kMinor = BPF_REG_5;
constexpr uint8_t kScratch = BPF_REG_6;

bpf_insn Insn(int code, uint8_t dst, uint8_t src, int16_t off, int32_t imm) {
  bpf_insn insn = {};
  insn.code = static_cast<uint8_t>(code);
  insn.dst_reg = dst & 0xfU;
  insn.src_reg = src & 0xfU;
  insn.off = off;
  insn.imm = imm;
  return insn;
}

bpf_insn Load32(uint8_t dst, size_t offset) {
  return Insn(BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_1,
              static_cast<int16_t>(offset), 0);
}

bpf_insn Alu32(int operation, uint8_t dst, int32_t imm) {
  return Insn(BPF_ALU | operation | BPF_K, dst, 0, 0, imm);
}

bpf_insn Copy(uint8_t dst, uint8_t src) {
  return Insn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

// 32-bit comparison (BPF_JMP32, Linux 5.1): device numbers are unsigned.
// The offset is filled in when the end of the rule is known.
bpf_insn JumpUnlessEqual(uint8_t reg, uint32_t value) {
  return Insn(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, 0,
              static_cast<int32_t>(value));
}

void AppendAnswer(std::vector<bpf_insn>& out, int32_t answer) {
  out.push_back(Insn(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, answer));
  out.push_back(Insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

absl::StatusOr<int32_t> AccessBits(const std::string& access) {
  int32_t bits = 0;
  for (const char c : access) {
    switch (c) {
      case 'm':
        bits |= BPF_DEVCG_ACC_MKNOD;
        break;
      case 'r':
        bits |= BPF_DEVCG_ACC_READ;
        break;
      case 'w':
        bits |= BPF_DEVCG_ACC_WRITE;
        break;
      default:
        bits = -1;
    }
    if (bits < 0) break;
  }
  if (bits > 0) return bits;
  return absl::InvalidArgumentError(
      absl::StrCat("device access \"", access, "\" is not a subset of rwm"));
}

absl::Status CheckNumber(int64_t number) {
  if (number >= -1 && number <= int64_t{UINT32_MAX}) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("device number ", number, " is out of range"));
}

absl::Status AppendRule(const DeviceRule& rule, std::vector<bpf_insn>& out) {
  if (rule.type != 'b' && rule.type != 'c') {
    return absl::InvalidArgumentError(absl::StrCat(
        "device type \"", std::string(1, rule.type), "\" is not b or c"));
  }
  PINION_ASSIGN_OR_RETURN(const int32_t access, AccessBits(rule.access));
  PINION_RETURN_IF_ERROR(CheckNumber(rule.major));
  PINION_RETURN_IF_ERROR(CheckNumber(rule.minor));
  std::vector<size_t> jumps;
  const auto unless_equal = [&](uint8_t reg, uint32_t value) {
    jumps.push_back(out.size());
    out.push_back(JumpUnlessEqual(reg, value));
  };
  unless_equal(kType,
               rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  constexpr int32_t kEverything =
      BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
  if (access != kEverything) {
    // No bit may be asked for that the rule does not give.
    out.push_back(Copy(kScratch, kAccess));
    out.push_back(Alu32(BPF_AND, kScratch, kEverything & ~access));
    unless_equal(kScratch, 0);
  }
  if (rule.major >= 0) unless_equal(kMajor, static_cast<uint32_t>(rule.major));
  if (rule.minor >= 0) unless_equal(kMinor, static_cast<uint32_t>(rule.minor));
  AppendAnswer(out, 1);
  for (const size_t jump : jumps) {
    out[jump].off = static_cast<int16_t>(out.size() - jump - 1);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<bpf_insn>> DeviceProgram(
    const std::vector<DeviceRule>& rules) {
  if (rules.size() > kMaxRules) {
    return absl::InvalidArgumentError(
        absl::StrCat(rules.size(), " device rules are more than ", kMaxRules));
  }
  std::vector<bpf_insn> out;
  // access_type: the device's type in the low half, the access in the high.
  out.push_back(Load32(kType, offsetof(bpf_cgroup_dev_ctx, access_type)));
  out.push_back(Copy(kAccess, kType));
  out.push_back(Alu32(BPF_AND, kType, 0xffff));
  out.push_back(Alu32(BPF_RSH, kAccess, 16));
  out.push_back(Load32(kMajor, offsetof(bpf_cgroup_dev_ctx, major)));
  out.push_back(Load32(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)));
  for (const DeviceRule& rule : rules) {
    PINION_RETURN_IF_ERROR(AppendRule(rule, out));
  }
  AppendAnswer(out, 0);
  return out;
}

}  // namespace pinion::cgroup
