#include "runtime/cgroup/limit_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace pinion::cgroup {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Case {
  const char* file;
  std::vector<const char*> right;
  std::vector<const char*> wrong;
};

const std::vector<Case>& Cases() {
  static const auto& cases = *new std::vector<Case>{
      {"cpu.idle", {"0", "1"}, {"", "2", "-1", "true"}},
      {"cpu.max",
       {"max", "50000", "max 100000", "1000 1000000"},
       {"", "0", "999", "-1", "50000 999", "50000 1000001", "1 2 3", "max max",
        "50000 ", "50000\n100000", "- 100000"}},
      {"cpu.max.burst", {"0", "1000"}, {"", "-1", "max"}},
      {"cpu.uclamp.min",
       {"0", "0.00", "12.34", "100", "100.00", "max"},
       {"", "100.01", "101", "12.345", "12.", ".5", "-1", "1.-1", "half"}},
      {"cpu.uclamp.max", {"max", "80.5"}, {"1e2"}},
      {"cpu.weight", {"1", "100", "10000"}, {"", "0", "10001", "1 1", "0x10"}},
      {"cpu.weight.nice", {"-20", "0", "19"}, {"-21", "20", "-", "--1"}},
      {"cpuset.cpus",
       {"", "0", "0-3,8"},
       {"3-1", "a", "0 1", "99999", "\n", "0-1\n"}},
      {"cpuset.mems", {"", "0"}, {"max"}},
      {"cpuset.cpus.exclusive", {"2-3"}, {"all"}},
      {"cpuset.cpus.partition",
       {"member", "root", "isolated"},
       {"", "Root", "isolated invalid"}},
      {"memory.min",
       {"0", "1", "64M", "1g", "max"},
       {"", "-1", "64MB", "1.5G"}},
      {"memory.low", {"67108864"}, {"infinity", "M", "16E1", "99999999999E"}},
      {"memory.high", {"80M"}, {"80 M", "max\n", "0x1000"}},
      {"memory.max", {"max"}, {"unlimited", "50%"}},
      {"memory.swap.high", {"1M"}, {"none"}},
      {"memory.swap.max", {"0"}, {"-1"}},
      {"memory.zswap.max", {"max"}, {"+1"}},
      {"memory.zswap.writeback", {"0"}, {"2"}},
      {"memory.oom.group", {"0", "1"}, {"yes", "01"}},
      {"io.max",
       {"8:0 rbps=1048576", "8:0 rbps=1 wbps=2 riops=3 wiops=max",
        "8:0 rbps=1\n8:16 wiops=2\n"},
       {"", "\n", "8:0", "sda rbps=1", "8:0 rbps", "8:0 rbps=", "8:0 rbps=1M",
        "8:0 bps=1", "8:0 =1", "8:0:1 rbps=1", "rbps=1", "8:0 rbps=1\n8:1",
        "4096:0 rbps=1"}},
      {"io.latency", {"8:0 target=75000"}, {"8:0 target=max", "8:0 75"}},
      {"io.weight",
       {"100", "default 10000", "8:0 50", "8:0 default", "default 1\n8:0 2"},
       {"", "0", "10001", "default", "default default", "8:0", "8:0 50 60"}},
      {"io.bfq.weight", {"default 1000"}, {"1001"}},
      {"io.prio.class", {"idle", "none-to-rt"}, {"", "rt"}},
      {"pids.max", {"0", "77", "max"}, {"", "-1", "1K", "nonsense"}},
      {"hugetlb.2MB.max", {"0", "4194304", "2M", "max"}, {"", "two"}},
      {"hugetlb.1GB.rsvd.max", {"0"}, {"-1"}},
      {"misc.max", {"sev 5", "sev max"}, {"sev", "5", "sev 5 6"}},
      {"rdma.max",
       {"mlx4_0 hca_handle=2 hca_object=max"},
       {"mlx4_0", "mlx4_0 hca_handle", "mlx4_0 handle=2"}},
      {"dmem.max", {"drm/0000:03:00.0/vram0 1G"}, {"1G", "a b c"}},
  };
  return cases;
}

TEST(CheckLimitTest, TakesWhatTheKernelDocumentsAndNothingElse) {
  for (const Case& c : Cases()) {
    EXPECT_TRUE(IsLimitFile(c.file)) << c.file;
    for (const char* value : c.right) {
      const absl::Status status = CheckLimit(c.file, value);
      EXPECT_TRUE(status.ok()) << status;
    }
    for (const char* value : c.wrong) {
      const absl::Status status = CheckLimit(c.file, value);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument)
          << c.file << " takes \"" << value << "\"";
      EXPECT_THAT(std::string(status.message()),
                  AllOf(HasSubstr(c.file), HasSubstr(" must be ")));
    }
  }
}

TEST(CheckLimitTest, RefusesValuesThatAreTooLongOrHoldANul) {
  EXPECT_FALSE(CheckLimit("cpuset.cpus", std::string(5000, '1')).ok());
  EXPECT_FALSE(CheckLimit("pids.max", std::string("7\0", 2)).ok());
}

// A name is a file of the container's own directory, and steers nothing but a
// limit: no path, no file of the core, no trigger, no statistics.
TEST(CheckLimitTest, NamesNothingBeyondTheContainersOwnLimits) {
  for (const char* file : {"",
                           ".",
                           "..",
                           "memory",
                           "memory.",
                           ".max",
                           "../memory.max",
                           "memory.max/../cgroup.procs",
                           "/memory.max",
                           "./memory.max",
                           "x/memory.max",
                           "memory.max ",
                           "memory max",
                           "Memory.max",
                           "x.max",
                           "cgroup.procs",
                           "cgroup.kill",
                           "cgroup.freeze",
                           "cgroup.type",
                           "cgroup.subtree_control",
                           "cgroup.max.depth",
                           "memory.reclaim",
                           "memory.peak",
                           "memory.stat",
                           "memory.current",
                           "memory.pressure",
                           "cpu.pressure",
                           "irq.pressure",
                           "io.stat",
                           "io.cost.qos",
                           "pids.events",
                           "hugetlb.max",
                           "hugetlb..max",
                           "hugetlb.2MB",
                           "hugetlb.2MB.current",
                           "hugetlb.2MB.max.max",
                           "hugetlb.../x.max",
                           "hugetlb.2MB/..max",
                           "hugetlb.*.max",
                           "cpuset.cpus.effective",
                           "devices.allow"}) {
    EXPECT_FALSE(IsLimitFile(file)) << file;
    EXPECT_EQ(CheckLimit(file, "1").code(), absl::StatusCode::kInvalidArgument)
        << file;
  }
}

TEST(CheckLimitTest, AnUnknownNameIsAnsweredWithTheKnownOnes) {
  EXPECT_THAT(std::string(CheckLimit("memory.hihg", "1").message()),
              AllOf(HasSubstr("\"memory.hihg\" is no limit"),
                    HasSubstr("memory.high, memory.low, memory.max")));
  EXPECT_THAT(std::string(CheckLimit("blkio.weight", "1").message()),
              HasSubstr("those of cpu, cpuset"));
}

TEST(ParseBytesTest, FollowsTheKernelsSuffixes) {
  EXPECT_EQ(ParseBytes("0"), 0U);
  EXPECT_EQ(ParseBytes("64M"), uint64_t{64} << 20);
  EXPECT_EQ(ParseBytes("1e"), uint64_t{1} << 60);
  EXPECT_EQ(ParseBytes("max"), UINT64_MAX);
  for (const char* text : {"", "K", "1KB", "-1", "17E", "1 K"}) {
    EXPECT_EQ(ParseBytes(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace pinion::cgroup
