// cpuset.mems of a container in which something runs: the kernel refuses to
// empty it then. Needs root, the cpuset controller in v2 and two NUMA nodes.

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/id.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "tests/support/child.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {
namespace {

using testing_support::Child;
using testing_support::ScratchCgroup;

TEST(MemoryNodesTest, AContainerThatRunsHasAllOfThemAgain) {
  const Child monitor = Child::Sleeper();
  const ScratchCgroup scratch;
  DriverOptions options;
  options.hierarchy = *FindHierarchy();
  options.default_parent = scratch.path();
  const auto driver = *NewCgroupfsDriver(options);
  ContainerCgroups cgroups(*FindHierarchy(), MissingControllers::kRefuse,
                           {.drift = DriftMode::kRepair});
  ASSERT_TRUE(cgroups.StartGuard().ok());
  const std::string pod_id = NewId();
  ASSERT_TRUE(
      driver->Create(pod_id, scratch.path(), "nodes", monitor.pid()).ok());
  const std::string pod = driver->PathOf(pod_id, scratch.path());
  const std::string id = NewId();
  const auto leaf = cgroups.Create(pod, id, {});
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  const auto read = [&](const std::string& file) {
    return scratch.Read(pod + "/" + id + "/" + file);
  };
  const std::string all = read("cpuset.mems.effective");
  ASSERT_NE(all, "1") << "this machine has one node";
  const CpuSet second = *CpuSet::Parse("1");
  const CpuSet cpus = *CpuSet::Parse("0");
  // Nothing is in it: the kernel takes the empty list.
  ASSERT_TRUE(cgroups.SetCpus(pod, id, cpus, second).ok());
  EXPECT_EQ(read("cpuset.mems.effective"), "1");
  EXPECT_TRUE(cgroups.FreeMemoryNodes(pod, id).ok());
  EXPECT_EQ(read("cpuset.mems"), "");
  EXPECT_EQ(read("cpuset.mems.effective"), all);

  const Child process([] { return pause(); }, leaf->get());
  ASSERT_TRUE(cgroups.SetCpus(pod, id, cpus, second).ok());
  const absl::Status freed = cgroups.FreeMemoryNodes(pod, id);
  EXPECT_TRUE(freed.ok()) << freed;
  EXPECT_EQ(read("cpuset.mems"), all);
  EXPECT_EQ(read("cpuset.mems.effective"), all);
  EXPECT_EQ(read("cpuset.cpus.effective"), "0") << "that is not concerned";
}

}  // namespace
}  // namespace pinion::cgroup
