// Grants of before a restart, on directories of plain files that stand for the
// cgroups, and with the CPUs of this machine. With the kernel's own cpusets:
// tests/vm/suites/cpu.sh.

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "metrics/metrics.h"
#include "os/file.h"
#include "runtime/operations.h"
#include "tests/support/fake_image_service.h"
#include "tests/support/fake_pod_network.h"
#include "tests/support/scratch_dir.h"

namespace pinion::runtime {
namespace {

// A plain file keeps what was behind the newline.
constexpr char kNone[] = "\n\n";

class ExclusiveCpusTest : public ::testing::Test {
 protected:
  ExclusiveCpusTest()
      : cgroups_({dir_.path(), false, {"cpuset"}},
                 cgroup::MissingControllers::kRefuse),
        metrics_(metrics::Registry::Create()) {
    for (const std::string& path :
         {std::string("/pod"), std::string("/pod/monitor"), "/pod/" + id_}) {
      std::filesystem::create_directories(dir_.path() + path);
      for (const char* file : {"cpuset.cpus", "cpuset.cpus.effective"}) {
        std::ofstream(dir_.path() + path + "/" + file) << "0\n";
      }
    }
    std::ofstream(MemsFile()) << "1\n";
    dependencies_.images = &images_;
    dependencies_.network = &network_;
    dependencies_.container_cgroups = &cgroups_;
    dependencies_.metrics = metrics_.get();
    options_.cpu.pinning = true;
    options_.cpu.reserved = *CpuSet::Parse("0");
    state::PodRecord pod;
    pod.set_id(std::string(64, 'a'));
    pod.set_state(state::POD_READY);
    pod.set_boot_id("boot");
    pod.set_cgroup("/pod");
    pod_ = std::make_shared<Pod>(pod);
  }

  // A restart finds a container that had `cpus`, and asks for one; and perhaps
  // another.
  void Restore(const std::string& cpus, const std::string& mems = "",
               const std::string& other = "") {
    context_ = std::make_unique<Context>(options_, dependencies_);
    context_->boot_id = "boot";
    context_->records = *Records::Open(dir_.path() + "/state.db");
    context_->work = std::make_unique<WorkQueue>(1);
    context_->reactor = *os::Reactor::Create();
    context_->objects.Add(pod_);
    ASSERT_TRUE(MakePinning(*context_).ok());
    if (!other.empty()) AddContainer(other, cpus, mems);
    AddContainer(id_, cpus, mems);
    RestoreCpus(*context_);
  }
  void AddContainer(const std::string& id, const std::string& cpus,
                    const std::string& mems) {
    state::ContainerRecord record;
    record.set_id(id);
    record.set_pod_id(pod_->id);
    record.set_state(state::CONTAINER_RUNNING);
    record.mutable_exclusive_cpus()->set_cpus(cpus);
    auto& resources = *record.mutable_spec()->mutable_resources();
    resources.set_cpu_period_us(100'000);
    resources.set_cpu_quota_us(100'000);
    resources.set_cpuset_mems(mems);
    context_->objects.Add(std::make_shared<Container>(pod_, record));
  }
  void WriteEvents(const std::string& id, const std::string& events) {
    const std::string leaf = dir_.path() + "/pod/" + id;
    std::filesystem::create_directories(leaf);
    std::ofstream(leaf + "/cgroup.events") << events;
  }
  bool HasGrant() { return HasGrant(id_); }
  bool HasGrant(const std::string& id) {
    return (*context_->objects.FindContainer(id))
        ->record.Get()
        ->has_exclusive_cpus();
  }
  std::string MemsFile() const {
    return dir_.path() + "/pod/" + id_ + "/cpuset.mems";
  }
  std::string Mems() const { return *os::ReadFileAt(AT_FDCWD, MemsFile()); }

  const std::string id_ = std::string(64, 'b');
  pinion::testing::ScratchDir dir_;
  testing_support::FakeImageService images_;
  testing_support::FakePodNetwork network_;
  cgroup::ContainerCgroups cgroups_;
  std::unique_ptr<metrics::Registry> metrics_;
  Dependencies dependencies_;
  Options options_;
  std::unique_ptr<Context> context_;
  PodPtr pod_;
};

TEST_F(ExclusiveCpusTest, WhatIsLostLeavesNoMemoryNodesBehind) {
  Restore("8191");  // not of this machine
  EXPECT_FALSE(HasGrant());
  EXPECT_EQ(Mems(), kNone);
}

// CPU 0 is reserved, so one more is needed: every machine for tests has two.
TEST_F(ExclusiveCpusTest, WhatIsKeptKeepsItsMemoryNodesIfTheyAreWanted) {
  Restore("1");
  EXPECT_TRUE(HasGrant());
  EXPECT_NE(Mems(), kNone);
  options_.cpu.numa = cpu::NumaPolicy::kNone;
  Restore("1");
  EXPECT_TRUE(HasGrant());
  EXPECT_EQ(Mems(), kNone);
}

TEST_F(ExclusiveCpusTest, MemoryThatTheCallerNamesStays) {
  Restore("8191", "1");
  EXPECT_FALSE(HasGrant());
  EXPECT_EQ(Mems(), "1\n");
}

// Its end was not written before the daemon was killed, but the claim of who
// has got its CPUs since was.
TEST_F(ExclusiveCpusTest, WhoRunsKeepsTheCpusOfOneThatHasEnded) {
  for (const char c : {'a', 'c'}) {
    const std::string other(64, c);
    WriteEvents(id_, "populated 1\nfrozen 0\n");
    WriteEvents(other, "populated 0\nfrozen 0\n");
    Restore("1", "", other);
    EXPECT_TRUE(HasGrant());
    EXPECT_FALSE(HasGrant(other));
  }
}

}  // namespace
}  // namespace pinion::runtime
