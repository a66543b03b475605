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
#include "runtime/cgroup/drift_guard.h"
#include "runtime/cgroup/limit_book.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "tests/support/child.h"
#include "tests/support/eventually.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {
namespace {

using testing::HasSubstr;
using testing_support::Child;
using testing_support::Eventually;
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
  // The file reads so, or will.
  void ExpectComes(const std::string& file, const std::string& text) {
    EXPECT_TRUE(Eventually([&] { return Read(file) == text; }))
        << file << " reads " << Read(file);
  }
  // How often the cgroup was found above memory.high.
  int64_t TimesHigh() {
    const std::string events = "\n" + Read("memory.events") + "\n";
    return std::stoll(events.substr(events.find("\nhigh ") + 6));
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
  // Well formed, but there is no such device.
  (*update.mutable_unified())["io.max"] = "4095:1048575 rbps=1";
  const absl::Status status = cgroups_.Update(pod_, id_, update);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("write \"4095:1048575 rbps=1\" to io.max: ENODEV"));
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

// The kernel lets no cpuset be unset while something runs in it (ENOSPC).
TEST_F(LimitsTest, ACpusetInUseGetsBackAllThereIs) {
  const os::UniqueFd leaf = Create({});
  Child sleeper = Child::Sleeper(leaf.get());
  const std::string all = scratch_.Read(pod_ + "/cpuset.cpus.effective");
  state::Resources update;
  update.set_cpuset_cpus("1");
  (*update.mutable_unified())["io.max"] = "4095:1048575 rbps=1";
  EXPECT_FALSE(cgroups_.Update(pod_, id_, update).ok());
  EXPECT_EQ(Read("cpuset.cpus"), all);
  EXPECT_EQ(Read("cpuset.cpus.effective"), all);
}

TEST_F(LimitsTest, TheGuardKeepsLimitsThroughUpdatesAndRestarts) {
  const auto guarded = [] {
    auto cgroups = std::make_unique<ContainerCgroups>(
        *FindHierarchy(), MissingControllers::kRefuse,
        ContainerCgroupsOptions{.drift = DriftMode::kRepair});
    EXPECT_TRUE(cgroups->StartGuard().ok());
    return cgroups;
  };
  const auto drifts_to = [this](const char* file, const std::string& wrong,
                                const std::string& right) {
    // Not by this process: the guard knows its own writes.
    EXPECT_EQ(Child([&] {
                scratch_.Write(pod_ + "/" + id_ + "/" + file, wrong);
                return 0;
              }).Wait(),
              0);
    ExpectComes(file, right);
  };
  auto cgroups = guarded();
  state::Resources r;
  r.set_memory_limit_bytes(64 * kMiB);
  r.set_cpu_shares(1024);
  r.set_cpu_quota_us(50'000);
  r.set_cpuset_cpus("1");
  cgroups->GuardPod(pod_);
  const auto leaf = cgroups->Create(pod_, id_, r);
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  Child sleeper = Child::Sleeper(leaf->get());
  drifts_to("memory.max", "max", std::to_string(64 * kMiB));
  drifts_to("cpu.max", "max 50000", "50000 100000");
  drifts_to("cpu.weight", "1", "39");
  // This sets the weight to its default behind its back, too.
  drifts_to("cpu.idle", "1", "0");
  drifts_to("cpu.weight", "2", "39");
  drifts_to("cpuset.cpus", "0", "1");
  // The pod withdraws a controller, and all its values go.
  EXPECT_EQ(Child([&] {
              scratch_.Write(pod_ + "/cgroup.subtree_control", "-pids");
              return 0;
            }).Wait(),
            0);
  ExpectComes("pids.max", "max");

  state::Resources update = r;
  update.set_memory_limit_bytes(32 * kMiB);
  ASSERT_TRUE(cgroups->Update(pod_, id_, update).ok());
  drifts_to("memory.max", "64M", std::to_string(32 * kMiB));

  // No daemon: the change is found by the next one, from the record.
  cgroups.reset();
  scratch_.Write(pod_ + "/" + id_ + "/memory.max", "max");
  cgroups = guarded();
  cgroups->GuardPod(pod_);
  cgroups->Guard(pod_, id_, update);
  ExpectComes("memory.max", std::to_string(32 * kMiB));
  drifts_to("memory.max", "max", std::to_string(32 * kMiB));
  ASSERT_TRUE(cgroups->Remove(pod_, id_).ok());
}

TEST_F(LimitsTest, TheGuardNotesWhatNobodySetAndWhatChangesTogether) {
  state::Resources r;
  r.set_cpu_shares(1024);
  Create(r);
  LimitBook book(scratch_.root());
  const auto guard = DriftGuard::Start({}, &book);
  ASSERT_TRUE(guard.ok()) << guard.status();
  bool made = false;
  const BookedCgroupPtr cgroup = *book.Enter(pod_ + "/" + id_, &made);
  (*guard)->Watch(cgroup);
  EXPECT_TRUE(Eventually([&] {
    const absl::MutexLock lock(&cgroup->mutex);
    return cgroup->complete;
  }));
  const auto drifts = [&] {
    EXPECT_EQ(Child([&] {
                scratch_.Write(pod_ + "/" + id_ + "/memory.high", "8M");
                return 0;
              }).Wait(),
              0);
    EXPECT_TRUE(Eventually([&] { return Read("memory.high") == "max"; }));
  };
  // A file that nobody asked to set.
  drifts();
  {
    const FileClaim claim = FileClaim::Wait(cgroup, {"cpu.weight"});
    r.set_cpu_shares(2048);
    ASSERT_TRUE(cgroups_.Update(pod_, id_, r).ok());
    const absl::MutexLock lock(&cgroup->mutex);
    Note(*cgroup, {{"cpu.weight", Read("cpu.weight")}});
  }
  // All files are looked at; cpu.weight.nice differs from what it was.
  drifts();
  drifts();
  EXPECT_EQ(Read("cpu.weight"), "79");
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

// One that has taken all of it.
Child FedEater(int leaf, int64_t bytes) {
  int ready[2];
  EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
  Child eater = Eater(leaf, bytes, ready[1]);
  // The child's is the last one: if it dies, the read ends.
  close(ready[1]);
  char byte = 0;
  EXPECT_EQ(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  return eater;
}

TEST_F(LimitsTest, MemoryInUseIsNotTakenAwayByAnUpdate) {
  state::Resources r;
  r.set_memory_limit_bytes(128 * kMiB);
  r.set_memory_swap_limit_bytes(128 * kMiB);
  const os::UniqueFd leaf = Create(r);
  const Child eater = FedEater(leaf.get(), 64 * kMiB);
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

// Something raised memory.max while no daemon ran, and the container fills it.
TEST_F(LimitsTest, WhatUsesMoreThanItsMaximumIsHeldAndNotKilled) {
  state::Resources r;
  r.set_memory_limit_bytes(32 * kMiB);
  r.set_memory_swap_limit_bytes(32 * kMiB);
  const os::UniqueFd leaf = Create(r);
  scratch_.Write(pod_ + "/" + id_ + "/memory.max", "max");
  Child eater = FedEater(leaf.get(), 64 * kMiB);
  ContainerCgroups cgroups(
      *FindHierarchy(), MissingControllers::kRefuse,
      ContainerCgroupsOptions{.drift = DriftMode::kRepair});
  ASSERT_TRUE(cgroups.StartGuard().ok());
  cgroups.Guard(pod_, id_, r);
  cgroups.GuardPod(pod_);
  const std::string low = std::to_string(32 * kMiB);
  ExpectComes("memory.high", std::to_string(31 * kMiB));
  EXPECT_EQ(Read("memory.max"), "max");
  EXPECT_GE(std::stoll(Read("memory.current")), 60 * kMiB) << "no swap here";
  // It does not get out of it.
  EXPECT_EQ(Child([&] {
              scratch_.Write(pod_ + "/" + id_ + "/memory.high", "64M");
              return 0;
            }).Wait(),
            0);
  ExpectComes("memory.high", std::to_string(31 * kMiB));
  // And hardly takes more: each time that it was found above, the kernel puts
  // whoever takes memory to sleep, a few pages further on.
  const int64_t found = TimesHigh();
  Child grower = Eater(leaf.get(), 64 * kMiB, -1);
  EXPECT_TRUE(Eventually([&] { return TimesHigh() >= found + 5; }));
  const int64_t used = std::stoll(Read("memory.current"));
  RecordProperty("mib_in_use", static_cast<int>(used / kMiB));
  EXPECT_LE(used, 96 * kMiB) << "of 128 MiB";
  ASSERT_EQ(kill(grower.pid(), SIGKILL), 0);
  EXPECT_EQ(grower.Wait(), -SIGKILL) << "at once, though it sleeps";
  EXPECT_EQ(*cgroups.OomKills(pod_, id_), 0U);
  // Less is used.
  ASSERT_EQ(kill(eater.pid(), SIGKILL), 0);
  eater.Wait();
  ExpectComes("memory.max", low);
  ExpectComes("memory.high", "max");
  ASSERT_TRUE(cgroups.Remove(pod_, id_).ok());
}

// A file of holes: its page cache costs memory and no disk.
class SparseFile {
 public:
  explicit SparseFile(int64_t bytes) {
    const os::UniqueFd fd(mkostemp(path_, O_CLOEXEC));
    EXPECT_EQ(ftruncate(fd.get(), bytes), 0);
  }
  ~SparseFile() { unlink(path_); }

  // Reads all of it from within `leaf`, which is charged for it.
  void CacheIn(int leaf) const {
    EXPECT_EQ(Child(
                  [this] {
                    const os::UniqueFd fd(open(path_, O_RDONLY | O_CLOEXEC));
                    static char buffer[1 << 16];
                    ssize_t n = 0;
                    while ((n = read(fd.get(), buffer, sizeof(buffer))) > 0) {
                    }
                    return n == 0 ? 0 : 1;
                  },
                  leaf)
                  .Wait(),
              0);
  }

 private:
  char path_[32] = "/var/tmp/pn-limits-XXXXXX";
};

// docs/decisions/memory_protection.md. 40 MiB of file cache in a leaf that is
// promised 48, while another leaf reads three times what the pod may have.
TEST_F(LimitsTest, ProtectionPassesThroughThePodsCgroup) {
  scratch_.Write(scratch_.path() + "/memory.max", "96M");
  state::Resources r;
  (*r.mutable_unified())["memory.min"] = "48M";
  const os::UniqueFd leaf = Create(r);
  EXPECT_EQ(scratch_.Read(pod_ + "/memory.min"), std::to_string(48 * kMiB));
  const std::string other = NewId();
  const auto greedy = cgroups_.Create(pod_, other, {});
  ASSERT_TRUE(greedy.ok()) << greedy.status();
  const auto current = [this] { return std::stoll(Read("memory.current")); };

  const SparseFile mine(40 * kMiB);
  mine.CacheIn(leaf.get());
  ASSERT_GE(current(), 40 * kMiB);
  // It is not killed: what it has itself can be taken from it.
  SparseFile(288 * kMiB).CacheIn(greedy->get());
  EXPECT_GE(current(), 39 * kMiB);

  // What the pod's own protection is for: without it the leaf's is worth
  // nothing.
  scratch_.Write(pod_ + "/memory.min", "0");
  EXPECT_TRUE(Eventually([&] {
    SparseFile(288 * kMiB).CacheIn(greedy->get());
    return current() < 35 * kMiB;
  })) << current();
}

TEST_F(LimitsTest, ThePodIsPromisedWhatItsLeavesAre) {
  const auto pod = [this](const char* file) {
    return scratch_.Read(pod_ + "/" + file);
  };
  state::Resources r;
  (*r.mutable_unified())["memory.min"] = "8M";
  (*r.mutable_unified())["memory.low"] = "16M";
  Create(r);
  const std::string other = NewId();
  ASSERT_TRUE(cgroups_.Create(pod_, other, r).ok());
  EXPECT_EQ(pod("memory.min"), std::to_string(16 * kMiB));
  EXPECT_EQ(pod("memory.low"), std::to_string(32 * kMiB));

  (*r.mutable_unified())["memory.low"] = "0";
  ASSERT_TRUE(cgroups_.Update(pod_, id_, r).ok());
  EXPECT_EQ(pod("memory.low"), std::to_string(16 * kMiB));
  (*r.mutable_unified())["memory.low"] = "64M";
  EXPECT_FALSE(
      cgroups_
          .Update(pod_, id_, r, [] { return absl::InternalError("no record"); })
          .ok());
  EXPECT_EQ(pod("memory.low"), std::to_string(16 * kMiB)) << "undone";

  ASSERT_TRUE(cgroups_.Remove(pod_, other).ok());
  EXPECT_EQ(pod("memory.min"), std::to_string(8 * kMiB));
  EXPECT_EQ(pod("memory.low"), "0");
  ASSERT_TRUE(cgroups_.Remove(pod_, id_).ok());
  EXPECT_EQ(pod("memory.min"), "0");
}

TEST_F(LimitsTest, MemoryHighHoldsBackAndDoesNotKill) {
  state::Resources r;
  (*r.mutable_unified())["memory.high"] = "64M";
  const os::UniqueFd leaf = Create(r);
  const SparseFile file(80 * kMiB);
  // Read again where reclaim gave up: only who takes memory reclaims.
  EXPECT_TRUE(Eventually([&] {
    file.CacheIn(leaf.get());
    return std::stoll(Read("memory.current")) <= 65 * kMiB;
  })) << Read("memory.current");
  EXPECT_THAT(Read("memory.events"), testing::Not(HasSubstr("high 0\n")));
  EXPECT_EQ(*cgroups_.OomKills(pod_, id_), 0U);
}

TEST_F(LimitsTest, AnOomKillIsTold) {
  state::Resources r;
  r.set_memory_limit_bytes(16 * kMiB);
  r.set_memory_swap_limit_bytes(16 * kMiB);
  (*r.mutable_unified())["memory.oom.group"] = "1";
  const os::UniqueFd leaf = Create(r);
  ASSERT_EQ(Read("memory.oom.group"), "1");
  Child bystander = Child::Sleeper(leaf.get());
  Child eater = Eater(leaf.get(), 64 * kMiB, -1);
  EXPECT_EQ(eater.Wait(), -SIGKILL);
  EXPECT_EQ(bystander.Wait(), -SIGKILL) << "memory.oom.group";
  EXPECT_GE(*cgroups_.OomKills(pod_, id_), 1U);
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
  // The kernel refuses it after io.max was written.
  (*update.mutable_unified())["rdma.max"] = "nothing hca_handle=1";
  EXPECT_FALSE(cgroups_.Update(pod_, id_, update).ok());
  EXPECT_THAT(Read("io.max"),
              HasSubstr("rbps=1048576 wbps=max riops=max wiops=max"));
}

TEST_F(LimitsTest, AFileThisKernelLacksIsNamed) {
  state::Resources r;
  // Since Linux 6.8.
  (*r.mutable_unified())["memory.zswap.writeback"] = "1";
  const auto made = cgroups_.Create(pod_, id_, r);
  EXPECT_THAT(std::string(made.status().message()),
              HasSubstr("this kernel has no cgroup file memory.zswap."));
}

TEST_F(LimitsTest, AControllerTheParentWithholdsIsNamedWithItsRemedy) {
  scratch_.Write(pod_ + "/cgroup.subtree_control", "-pids");
  state::Resources r;
  (*r.mutable_unified())["pids.max"] = "5";
  const auto made = cgroups_.Create(pod_, id_, r);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(made.status().message()),
              HasSubstr("pids.max = 5 needs the pids controller: "));
}

}  // namespace
}  // namespace pinion::cgroup
