// Limits with real controllers, below a scratch cgroup right under the v2
// root. Needs root and a machine whose controllers are in v2; 2 CPUs.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "base/id.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "tests/support/child.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {
namespace {

using testing::HasSubstr;
using testing_support::Child;
using testing_support::ScratchCgroup;

constexpr int64_t kMiB = int64_t{1} << 20;

class LimitsTest : public testing::Test {
 protected:
  LimitsTest() : cgroups_(*FindHierarchy(), MissingControllers::kRefuse) {
    DriverOptions options;
    options.hierarchy = *FindHierarchy();
    options.default_parent = scratch_.path();
    driver_ = *NewCgroupfsDriver(options);
    const std::string pod = NewId();
    const absl::Status made =
        driver_->Create(pod, scratch_.path(), "limits", monitor_.pid());
    EXPECT_TRUE(made.ok()) << made;
    pod_ = driver_->PathOf(pod, scratch_.path());
  }

  os::UniqueFd Create(const state::Resources& resources) {
    auto leaf = cgroups_.Create(pod_, id_, resources);
    EXPECT_TRUE(leaf.ok()) << leaf.status();
    return leaf.ok() ? *std::move(leaf) : os::UniqueFd();
  }
  std::string Read(const std::string& file) {
    return scratch_.Read(pod_ + "/" + id_ + "/" + file);
  }

  ScratchCgroup scratch_;
  ContainerCgroups cgroups_;
  std::unique_ptr<PodCgroupDriver> driver_;
  Child monitor_ = Child::Sleeper();
  std::string pod_;
  const std::string id_ = NewId();
};

TEST_F(LimitsTest, EveryControllerReachesTheLeaf) {
  Create({});
  EXPECT_EQ(scratch_.Read(pod_ + "/cgroup.controllers"),
            scratch_.Read("/cgroup.controllers"));
  EXPECT_EQ(Read("cgroup.controllers"), scratch_.Read("/cgroup.controllers"));
  EXPECT_EQ(scratch_.Read(pod_ + "/memory.min"), "max");
  EXPECT_EQ(scratch_.Read(pod_ + "/memory.low"), "max");
}

TEST_F(LimitsTest, EverythingIsInForceBeforeTheFirstProcess) {
  state::Resources r;
  r.set_cpu_period_us(100'000);
  r.set_cpu_quota_us(50'000);
  r.set_cpu_shares(512);
  r.set_memory_limit_bytes(64 * kMiB + 100);
  r.set_memory_swap_limit_bytes(96 * kMiB + 100);
  r.set_cpuset_cpus("1");
  r.set_cpuset_mems("0");
  auto* huge = r.add_hugepage_limits();
  huge->set_page_size("2MB");
  huge->set_limit_bytes(4 * kMiB);
  (*r.mutable_unified())["memory.high"] = "48M";
  (*r.mutable_unified())["memory.oom.group"] = "1";
  (*r.mutable_unified())["pids.max"] = "77";
  ASSERT_TRUE(cgroups_.Check(r).ok());
  const os::UniqueFd leaf = Create(r);
  EXPECT_EQ(Read("cpu.max"), "50000 100000");
  EXPECT_EQ(Read("cpu.weight"), "20");
  EXPECT_EQ(Read("memory.max"), std::to_string(64 * kMiB));
  EXPECT_EQ(Read("memory.swap.max"), std::to_string(32 * kMiB));
  EXPECT_EQ(Read("memory.high"), std::to_string(48 * kMiB));
  EXPECT_EQ(Read("memory.oom.group"), "1");
  EXPECT_EQ(Read("pids.max"), "77");
  EXPECT_EQ(Read("cpuset.cpus.effective"), "1");
  EXPECT_EQ(Read("cpuset.mems.effective"), "0");
  EXPECT_EQ(Read("hugetlb.2MB.max"), std::to_string(4 * kMiB));
  EXPECT_EQ(Read("hugetlb.2MB.rsvd.max"), std::to_string(4 * kMiB));
  // Affinity of a process born there.
  EXPECT_EQ(Child(
                [] {
                  cpu_set_t set;
                  sched_getaffinity(0, sizeof(set), &set);
                  return CPU_COUNT(&set) == 1 && CPU_ISSET(1, &set) ? 0 : 1;
                },
                leaf.get())
                .Wait(),
            0);
}

TEST_F(LimitsTest, UpdateLeavesWhatIsUnset) {
  state::Resources r;
  r.set_cpu_period_us(100'000);
  r.set_cpu_quota_us(50'000);
  r.set_memory_limit_bytes(64 * kMiB);
  Create(r);
  state::Resources update;
  update.set_cpu_period_us(50'000);
  ASSERT_TRUE(cgroups_.Update(pod_, id_, update).ok());
  EXPECT_EQ(Read("cpu.max"), "50000 50000") << "the quota stays";
  EXPECT_EQ(Read("memory.max"), std::to_string(64 * kMiB));
  update.Clear();
  update.set_cpu_quota_us(-1);
  update.set_memory_limit_bytes(-1);
  ASSERT_TRUE(cgroups_.Update(pod_, id_, update).ok());
  EXPECT_EQ(Read("cpu.max"), "max 50000");
  EXPECT_EQ(Read("memory.max"), "max");
}

TEST_F(LimitsTest, ACpusetTheParentCannotGiveIsRefused) {
  state::Resources r;
  r.set_cpuset_cpus("0-4095");
  const auto made = cgroups_.Create(pod_, id_, r);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(made.status().message()),
              HasSubstr("cpuset.cpus 0-4095 is not to be had: the parent's "
                        "cpuset.cpus.effective is \"0-"));
  EXPECT_FALSE(scratch_.Exists(pod_ + "/" + id_));

  // Below a parent that is itself bounded.
  scratch_.Write(pod_ + "/cpuset.cpus", "0");
  r.set_cpuset_cpus("1");
  EXPECT_THAT(std::string(cgroups_.Create(pod_, id_, r).status().message()),
              HasSubstr("effective is \"0\""));
  r.set_cpuset_cpus("0");
  EXPECT_TRUE(cgroups_.Create(pod_, id_, r).ok());
}

TEST_F(LimitsTest, AnUpdateThatFailsHalfWayIsUndone) {
  state::Resources r;
  r.set_cpuset_cpus("0");
  r.set_cpu_shares(1024);
  r.set_memory_limit_bytes(64 * kMiB);
  Create(r);
  state::Resources update;
  update.set_cpuset_cpus("1");
  update.set_cpu_shares(2048);
  update.set_memory_limit_bytes(32 * kMiB);
  (*update.mutable_unified())["pids.max"] = "nonsense";
  const absl::Status status = cgroups_.Update(pod_, id_, update);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("write \"nonsense\" to pids.max: EINVAL"));
  EXPECT_EQ(Read("cpuset.cpus"), "0");
  EXPECT_EQ(Read("cpuset.cpus.effective"), "0");
  EXPECT_EQ(Read("cpu.weight"), "39");
  EXPECT_EQ(Read("memory.max"), std::to_string(64 * kMiB));

  // A cpuset that was unset before becomes unset again.
  cgroups_.Remove(pod_, id_).IgnoreError();
  Create({});
  EXPECT_FALSE(cgroups_.Update(pod_, id_, update).ok());
  EXPECT_EQ(Read("cpuset.cpus"), "");
}

// A child in `leaf` that touches `bytes` of memory and then sleeps.
Child Eater(int leaf, int64_t bytes, int ready) {
  return Child(
      [=] {
        void* memory =
            mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        std::memset(memory, 1, static_cast<size_t>(bytes));
        (void)!write(ready, "x", 1);
        while (true) pause();
        return 0;
      },
      leaf);
}

TEST_F(LimitsTest, MemoryInUseIsNotTakenAwayByAnUpdate) {
  state::Resources r;
  r.set_memory_limit_bytes(128 * kMiB);
  r.set_memory_swap_limit_bytes(128 * kMiB);
  const os::UniqueFd leaf = Create(r);
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  Child eater = Eater(leaf.get(), 64 * kMiB, ready[1]);
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  close(ready[1]);
  state::Resources update;
  update.set_memory_limit_bytes(32 * kMiB);
  const absl::Status status = cgroups_.Update(pod_, id_, update);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("bytes in use"));
  EXPECT_EQ(Read("memory.max"), std::to_string(128 * kMiB));
  EXPECT_EQ(*cgroups_.OomKills(pod_, id_), 0U);
  update.set_memory_limit_bytes(96 * kMiB);
  EXPECT_TRUE(cgroups_.Update(pod_, id_, update).ok());
}

TEST_F(LimitsTest, AnOomKillIsTold) {
  state::Resources r;
  r.set_memory_limit_bytes(16 * kMiB);
  r.set_memory_swap_limit_bytes(16 * kMiB);
  (*r.mutable_unified())["memory.oom.group"] = "1";
  const os::UniqueFd leaf = Create(r);
  ASSERT_EQ(Read("memory.oom.group"), "1");
  Child bystander = Child::Sleeper(leaf.get());
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  Child eater = Eater(leaf.get(), 64 * kMiB, ready[1]);
  EXPECT_EQ(eater.Wait(), -SIGKILL);
  EXPECT_EQ(bystander.Wait(), -SIGKILL) << "memory.oom.group";
  EXPECT_GE(*cgroups_.OomKills(pod_, id_), 1U);
  close(ready[0]);
  close(ready[1]);
  EXPECT_TRUE(cgroups_.Remove(pod_, id_).ok());
}

TEST_F(LimitsTest, TheGroupSwitchIsOnlyADefault) {
  ContainerCgroups grouped(*FindHierarchy(), MissingControllers::kRefuse,
                           {.oom_group = true});
  ASSERT_TRUE(grouped.Create(pod_, id_, {}).ok());
  EXPECT_EQ(Read("memory.oom.group"), "1");
  ASSERT_TRUE(grouped.Remove(pod_, id_).ok());
  state::Resources r;
  (*r.mutable_unified())["memory.oom.group"] = "0";
  ASSERT_TRUE(grouped.Create(pod_, id_, r).ok());
  EXPECT_EQ(Read("memory.oom.group"), "0");
}

TEST_F(LimitsTest, UnifiedFilesKeyedByDevice) {
  // 1:0 is a RAM disk, 253:0 or 254:0 the guest's own disk.
  std::string device;
  for (const char* name : {"vda", "sda", "nvme0n1"}) {
    const os::UniqueFd dev(
        open((std::string("/sys/block/") + name + "/dev").c_str(),
             O_RDONLY | O_CLOEXEC));
    char text[32] = {};
    if (dev.valid() && read(dev.get(), text, sizeof(text) - 1) > 0) {
      device = std::string(text, strcspn(text, "\n"));
      break;
    }
  }
  ASSERT_FALSE(device.empty());
  state::Resources r;
  (*r.mutable_unified())["io.max"] = device + " rbps=1048576";
  Create(r);
  EXPECT_THAT(Read("io.max"), HasSubstr(device + " rbps=1048576 wbps=max"));
  state::Resources update;
  (*update.mutable_unified())["io.max"] = device + " wiops=100";
  (*update.mutable_unified())["pids.max"] = "nonsense";
  EXPECT_FALSE(cgroups_.Update(pod_, id_, update).ok());
  EXPECT_THAT(Read("io.max"),
              HasSubstr("rbps=1048576 wbps=max riops=max wiops=max"));
}

TEST_F(LimitsTest, AFileThisKernelLacksIsNamed) {
  state::Resources r;
  (*r.mutable_unified())["memory.nothing"] = "1";
  const auto made = cgroups_.Create(pod_, id_, r);
  EXPECT_THAT(std::string(made.status().message()),
              HasSubstr("this kernel has no cgroup file memory.nothing"));
}

TEST_F(LimitsTest, AControllerTheParentWithholdsIsNamedWithItsRemedy) {
  scratch_.Write(pod_ + "/cgroup.subtree_control", "-pids");
  state::Resources r;
  (*r.mutable_unified())["pids.max"] = "5";
  const auto made = cgroups_.Create(pod_, id_, r);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace pinion::cgroup
