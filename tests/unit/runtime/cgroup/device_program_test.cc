// Runs generated programs in a small interpreter of the instructions they
// consist of. That the kernel agrees is shown by
// tests/integration/cgroup/device_filter_test.cc.

#include "runtime/cgroup/device_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <optional>

namespace pinion::cgroup {
namespace {

using testing::HasSubstr;

struct Request {
  uint32_t type;
  uint32_t access;
  uint32_t major;
  uint32_t minor;
};

// nullopt: an instruction that is not one of ours, or no end.
std::optional<uint64_t> Run(const std::vector<bpf_insn>& program,
                            const Request& request) {
  const bpf_cgroup_dev_ctx context = {request.access << 16 | request.type,
                                      request.major, request.minor};
  std::array<uint64_t, 11> reg = {};
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const bpf_insn& in = program[pc];
    const auto imm = static_cast<uint32_t>(in.imm);
    switch (in.code) {
      case BPF_LDX | BPF_MEM | BPF_W: {
        uint32_t word = 0;
        if (in.src_reg != 1 || in.off < 0 || in.off > 8) return std::nullopt;
        std::memcpy(&word, reinterpret_cast<const char*>(&context) + in.off, 4);
        reg[in.dst_reg] = word;
        break;
      }
      case BPF_ALU64 | BPF_MOV | BPF_X:
        reg[in.dst_reg] = reg[in.src_reg];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_K:
        reg[in.dst_reg] = static_cast<uint64_t>(int64_t{in.imm});
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        reg[in.dst_reg] = static_cast<uint32_t>(reg[in.dst_reg]) & imm;
        break;
      case BPF_ALU | BPF_RSH | BPF_K:
        reg[in.dst_reg] = static_cast<uint32_t>(reg[in.dst_reg]) >> imm;
        break;
      case BPF_JMP32 | BPF_JNE | BPF_K:
        if (static_cast<uint32_t>(reg[in.dst_reg]) != imm) {
          if (in.off < 0) return std::nullopt;
          pc += static_cast<size_t>(in.off);
        }
        break;
      case BPF_JMP | BPF_EXIT:
        return reg[0];
      default:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

constexpr uint32_t kBlock = BPF_DEVCG_DEV_BLOCK;
constexpr uint32_t kChar = BPF_DEVCG_DEV_CHAR;
constexpr uint32_t kMknod = BPF_DEVCG_ACC_MKNOD;
constexpr uint32_t kRead = BPF_DEVCG_ACC_READ;
constexpr uint32_t kWrite = BPF_DEVCG_ACC_WRITE;

void Expect(const std::vector<DeviceRule>& rules, const Request& request,
            uint64_t answer) {
  const auto program = DeviceProgram(rules);
  ASSERT_TRUE(program.ok()) << program.status();
  EXPECT_EQ(Run(*program, request), answer)
      << request.type << " " << request.access << " " << request.major << ":"
      << request.minor;
}

TEST(DeviceProgramTest, NothingListedIsEverythingDenied) {
  Expect({}, {kChar, kRead, 1, 3}, 0);
  Expect({}, {kBlock, kMknod, 8, 0}, 0);
}

TEST(DeviceProgramTest, OneDevice) {
  const std::vector<DeviceRule> null = {{'c', 1, 3, "rw"}};
  Expect(null, {kChar, kRead, 1, 3}, 1);
  Expect(null, {kChar, kWrite, 1, 3}, 1);
  Expect(null, {kChar, kRead | kWrite, 1, 3}, 1);
  Expect(null, {kChar, kMknod, 1, 3}, 0);
  Expect(null, {kChar, kRead | kMknod, 1, 3}, 0);
  Expect(null, {kBlock, kRead, 1, 3}, 0);
  Expect(null, {kChar, kRead, 1, 4}, 0);
  Expect(null, {kChar, kRead, 2, 3}, 0);
}

TEST(DeviceProgramTest, AnyNumberAndLaterRules) {
  const std::vector<DeviceRule> rules = {{'c', 136, -1, "rwm"},
                                         {'b', -1, -1, "m"},
                                         {'c', -1, 7, "r"},
                                         {'c', 4'294'967'295, 0, "w"}};
  Expect(rules, {kChar, kRead | kWrite | kMknod, 136, 99}, 1);
  Expect(rules, {kBlock, kMknod, 8, 3}, 1);
  Expect(rules, {kBlock, kRead, 8, 3}, 0);
  Expect(rules, {kChar, kRead, 5, 7}, 1);
  Expect(rules, {kChar, kRead, 5, 8}, 0);
  Expect(rules, {kChar, kWrite, 4'294'967'295, 0}, 1);
}

TEST(DeviceProgramTest, AccessIsNotAddedUpOverRules) {
  const std::vector<DeviceRule> rules = {{'c', 1, 3, "r"}, {'c', 1, 3, "w"}};
  Expect(rules, {kChar, kRead, 1, 3}, 1);
  Expect(rules, {kChar, kRead | kWrite, 1, 3}, 0);
}

TEST(DeviceProgramTest, RefusesMalformedRules) {
  for (const DeviceRule& rule :
       {DeviceRule{'a', 1, 3, "rwm"}, DeviceRule{'c', 1, 3, ""},
        DeviceRule{'c', 1, 3, "x"}, DeviceRule{'c', 1, 3, "rwmx"},
        DeviceRule{'c', -2, 3, "r"}, DeviceRule{'c', 1, 4'294'967'296, "r"}}) {
    const auto program = DeviceProgram({rule});
    EXPECT_EQ(program.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(program.status().message()), HasSubstr("device"));
  }
  EXPECT_FALSE(
      DeviceProgram(std::vector<DeviceRule>(257, DeviceRule{'c', 1, 3, "r"}))
          .ok());
  EXPECT_TRUE(
      DeviceProgram(std::vector<DeviceRule>(256, DeviceRule{'c', 1, 3, "r"}))
          .ok());
}

}  // namespace
}  // namespace pinion::cgroup
