// Leaves on the machine's own v2 hierarchy: everything that needs no
// controller. Limits are in limits_test.cc, which the VM runs. Needs root.

#include "runtime/cgroup/container_cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/id.h"
#include "metrics/metrics.h"
#include "tests/support/child.h"
#include "tests/support/eventually.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::Child;
using testing_support::Eventually;
using testing_support::ScratchCgroup;

// As on this machine, also where there are controllers: none to be had.
Hierarchy WithoutControllers() {
  Hierarchy hierarchy = *FindHierarchy();
  hierarchy.hybrid = true;
  hierarchy.controllers.clear();
  return hierarchy;
}

class ContainerCgroupTest : public testing::Test {
 protected:
  ContainerCgroupTest()
      : refusing_(WithoutControllers(), MissingControllers::kRefuse),
        ignoring_(WithoutControllers(), MissingControllers::kIgnore,
                  {.metrics = registry_.get()}) {}

  std::string Leaf() const { return scratch_.path() + "/" + id_; }

  ScratchCgroup scratch_;
  const std::unique_ptr<metrics::Registry> registry_ =
      metrics::Registry::Create();
  ContainerCgroups refusing_;
  ContainerCgroups ignoring_;
  const std::string id_ = NewId();
};

TEST_F(ContainerCgroupTest, ALeafTakesAProcessAndEndsIt) {
  const auto leaf = refusing_.Create(scratch_.path(), id_, {});
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  Child child = Child::Sleeper(leaf->get());
  EXPECT_THAT(scratch_.Pids(Leaf()), ElementsAre(child.pid()));
  EXPECT_TRUE(refusing_.Create(scratch_.path(), id_, {}).ok()) << "again";
  ASSERT_TRUE(refusing_.Kill(scratch_.path(), id_).ok());
  EXPECT_EQ(child.Wait(), -SIGKILL);
  EXPECT_EQ(*refusing_.OomKills(scratch_.path(), id_), 0U);
  ASSERT_TRUE(refusing_.Remove(scratch_.path(), id_).ok());
  EXPECT_FALSE(scratch_.Exists(Leaf()));
  EXPECT_TRUE(refusing_.Kill(scratch_.path(), id_).ok());
  EXPECT_TRUE(refusing_.Remove(scratch_.path(), id_).ok());
}

TEST_F(ContainerCgroupTest, RemoveWaitsForTheKilled) {
  const auto leaf = refusing_.Create(scratch_.path(), id_, {});
  ASSERT_TRUE(leaf.ok());
  std::vector<Child> children;
  for (int i = 0; i < 50; ++i) {
    children.push_back(Child::Sleeper(leaf->get()));
  }
  ASSERT_TRUE(refusing_.Remove(scratch_.path(), id_).ok());
  EXPECT_FALSE(scratch_.Exists(Leaf()));
  // Zombies, since this test has not waited for them, but gone from there.
  for (Child& child : children) EXPECT_EQ(child.Wait(), -SIGKILL);
}

TEST_F(ContainerCgroupTest, AnExecsWholeTreeEndsAndTheContainerLives) {
  const auto leaf = refusing_.Create(scratch_.path(), id_, {});
  ASSERT_TRUE(leaf.ok());
  Child init = Child::Sleeper(leaf->get());
  const auto exec = refusing_.CreateExec(scratch_.path(), id_, "e1");
  ASSERT_TRUE(exec.ok()) << exec.status();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  Child shell(
      [&] {
        // A daemon of the classic kind: forks twice, with a new session.
        if (fork() == 0) {
          setsid();
          if (fork() == 0) {
            (void)!write(ready[1], "x", 1);
            while (true) pause();
          }
          _exit(0);
        }
        while (true) pause();
        return 0;
      },
      exec->get());
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  close(ready[1]);
  EXPECT_GE(scratch_.Pids(Leaf() + "/exec-e1").size(), 2U);
  EXPECT_TRUE(absl::IsFailedPrecondition(
      refusing_.RemoveExec(scratch_.path(), id_, "e1")))
      << "what runs in it is left alone";
  EXPECT_GE(scratch_.Pids(Leaf() + "/exec-e1").size(), 2U);
  ASSERT_TRUE(refusing_.KillExec(scratch_.path(), id_, "e1").ok());
  EXPECT_EQ(shell.Wait(), -SIGKILL);
  // The killed ones leave it as they end; there is no later event to wait for.
  absl::Status removed;
  ASSERT_TRUE(Eventually([&] {
    removed = refusing_.RemoveExec(scratch_.path(), id_, "e1");
    return removed.ok();
  })) << removed;
  EXPECT_FALSE(scratch_.Exists(Leaf() + "/exec-e1"));
  EXPECT_THAT(scratch_.Pids(Leaf()), ElementsAre(init.pid()));
  EXPECT_TRUE(refusing_.RemoveExec(scratch_.path(), id_, "e1").ok());
  ASSERT_TRUE(refusing_.Remove(scratch_.path(), id_).ok());
  EXPECT_EQ(init.Wait(), -SIGKILL);
}

TEST_F(ContainerCgroupTest, RefusesALimitItCannotKeepAndLeavesNoLeaf) {
  state::Resources resources;
  resources.set_cpu_quota_us(50'000);
  resources.set_cpu_period_us(100'000);
  const absl::Status checked = refusing_.Check(resources);
  EXPECT_EQ(checked.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(checked.message()),
              HasSubstr("cpu.max = 50000 100000 needs the cpu controller"));
  EXPECT_THAT(std::string(checked.message()),
              HasSubstr("systemd.unified_cgroup_hierarchy=1"));
  const auto made = refusing_.Create(scratch_.path(), id_, resources);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(scratch_.Exists(Leaf()));
}

TEST_F(ContainerCgroupTest, IgnoredLimitsAreCounted) {
  state::Resources resources;
  resources.set_cpu_shares(1024);
  (*resources.mutable_unified())["memory.high"] = "1000000";
  ASSERT_TRUE(ignoring_.Check(resources).ok());
  ASSERT_TRUE(ignoring_.Create(scratch_.path(), id_, resources).ok());
  ASSERT_TRUE(ignoring_.Update(scratch_.path(), id_, resources).ok());
  const std::string text = registry_->Render();
  EXPECT_THAT(
      text,
      HasSubstr("pinion_cgroup_ignored_limits_total{file=\"cpu.weight\"} 2"));
  EXPECT_THAT(
      text,
      HasSubstr("pinion_cgroup_ignored_limits_total{file=\"memory.high\"} 2"));
  // Malformed is refused all the same.
  resources.set_cpuset_cpus("x");
  EXPECT_EQ(ignoring_.Check(resources).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ContainerCgroupTest, NoHugePagesOnAMachineWithoutIsNoLimit) {
  // What the kubelet sends with every container.
  state::Resources resources;
  auto* huge = resources.add_hugepage_limits();
  huge->set_page_size("16GB");
  EXPECT_TRUE(refusing_.Check(resources).ok());
  EXPECT_TRUE(refusing_.Create(scratch_.path(), id_, resources).ok());
  huge->set_limit_bytes(uint64_t{16} << 30);
  EXPECT_EQ(refusing_.Check(resources).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(refusing_.Update(scratch_.path(), id_, resources).ok());
}

TEST_F(ContainerCgroupTest, NamesCannotLeaveThePod) {
  for (const char* id : {"", "..", "a/b", "monitor", "cgroup.procs"}) {
    EXPECT_EQ(refusing_.Create(scratch_.path(), id, {}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << id;
    EXPECT_FALSE(refusing_.Remove(scratch_.path(), id).ok()) << id;
    EXPECT_FALSE(refusing_.Kill(scratch_.path(), id).ok()) << id;
    EXPECT_EQ(refusing_.CreateExec(scratch_.path(), id_, id).status().code(),
              absl::StatusCode::kInvalidArgument)
        << id;
  }
  EXPECT_FALSE(refusing_.Create(scratch_.path() + "/..", id_, {}).ok());
  EXPECT_FALSE(refusing_.Create("", id_, {}).ok());
}

TEST_F(ContainerCgroupTest, AMissingPodIsNotFound) {
  EXPECT_EQ(
      refusing_.Create(scratch_.path() + "/gone", id_, {}).status().code(),
      absl::StatusCode::kNotFound);
  EXPECT_EQ(refusing_.Update(scratch_.path(), id_, {}).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(refusing_.OomKills(scratch_.path(), id_).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(refusing_.Remove(scratch_.path() + "/gone", id_).ok());
}

}  // namespace
}  // namespace pinion::cgroup
