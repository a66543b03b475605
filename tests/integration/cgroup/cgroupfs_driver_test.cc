// The cgroupfs driver on the machine's own v2 hierarchy, below a scratch
// cgroup. Needs root.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/id.h"
#include "runtime/cgroup/pod_cgroup.h"
#include "tests/support/child.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing_support::Child;
using testing_support::ScratchCgroup;

class CgroupfsDriverTest : public testing::Test {
 protected:
  CgroupfsDriverTest() : driver_(New("")) {}

  std::unique_ptr<PodCgroupDriver> New(const std::string& owner) {
    DriverOptions options;
    options.hierarchy = *FindHierarchy();
    options.default_parent = scratch_.path() + "/default";
    options.owner = owner;
    return *NewCgroupfsDriver(options);
  }

  ScratchCgroup scratch_;
  const std::unique_ptr<PodCgroupDriver> driver_;
  const std::string id_ = NewId();
};

TEST_F(CgroupfsDriverTest, FindsTheHierarchyOfThisMachine) {
  EXPECT_EQ(FindHierarchy()->root, scratch_.root());
}

TEST_F(CgroupfsDriverTest, ThePodIsMadeAroundItsMonitor) {
  Child monitor = Child::Sleeper();
  const std::string parent = scratch_.path() + "/kubepods/burstable/pod1";
  const std::string path = driver_->PathOf(id_, parent);
  EXPECT_EQ(path, parent + "/pinion-" + id_);
  ASSERT_TRUE(driver_->Create(id_, parent, "pod", monitor.pid()).ok());
  EXPECT_THAT(scratch_.Pids(path + "/monitor"), ElementsAre(monitor.pid()));
  EXPECT_THAT(scratch_.Pids(path), ElementsAre());
  EXPECT_EQ(scratch_.Read(path + "/cgroup.subtree_control"),
            scratch_.Read(path + "/cgroup.controllers"));

  // Again: nothing changes.
  ASSERT_TRUE(driver_->Create(id_, parent, "pod", monitor.pid()).ok());
  EXPECT_THAT(scratch_.Pids(path + "/monitor"), ElementsAre(monitor.pid()));

  EXPECT_THAT(*driver_->ListPods(), Contains(id_));
  ASSERT_TRUE(driver_->Remove(id_, path).ok());
  EXPECT_EQ(monitor.Wait(), -SIGKILL);
  EXPECT_FALSE(scratch_.Exists(path));
  EXPECT_FALSE(scratch_.Exists(scratch_.path() + "/kubepods"))
      << "parents that the driver made go with the last pod";
  EXPECT_THAT(*driver_->ListPods(), Not(Contains(id_)));
  EXPECT_TRUE(driver_->Remove(id_, path).ok()) << "missing is success";
}

TEST_F(CgroupfsDriverTest, AheadOfItsMonitorThePodIsThereForItToBeBornIn) {
  const std::string path = driver_->PathOf(id_, scratch_.path());
  {
    const auto leaf = driver_->CreateAhead(id_, scratch_.path(), "pod");
    ASSERT_TRUE(leaf.ok()) << leaf.status();
    EXPECT_EQ(scratch_.Read(path + "/cgroup.subtree_control"),
              scratch_.Read(path + "/cgroup.controllers"));
    Child monitor = Child::Sleeper(leaf->get());
    EXPECT_THAT(scratch_.Pids(path + "/monitor"), ElementsAre(monitor.pid()));
    ASSERT_TRUE(driver_->Remove(id_, path).ok());
    EXPECT_EQ(monitor.Wait(), -SIGKILL);
  }
  EXPECT_FALSE(driver_->CreateAhead(id_, "no/path", "pod").ok());
  EXPECT_FALSE(driver_->CreateAhead("no id", scratch_.path(), "pod").ok());
}

TEST_F(CgroupfsDriverTest, ParentsOfOthersStay) {
  scratch_.MakeDir(scratch_.path() + "/kubepods");
  Child monitor = Child::Sleeper();
  const std::string parent = scratch_.path() + "/kubepods/pod1";
  ASSERT_TRUE(driver_->Create(id_, parent, "pod", monitor.pid()).ok());
  ASSERT_TRUE(driver_->Remove(id_, driver_->PathOf(id_, parent)).ok());
  EXPECT_TRUE(scratch_.Exists(scratch_.path() + "/kubepods"));
  EXPECT_FALSE(scratch_.Exists(parent));
}

TEST_F(CgroupfsDriverTest, WithoutAParentTheDefaultIsUsedAndStays) {
  Child monitor = Child::Sleeper();
  ASSERT_TRUE(driver_->Create(id_, "", "pod", monitor.pid()).ok());
  const std::string path = driver_->PathOf(id_, "");
  EXPECT_EQ(path, scratch_.path() + "/default/pinion-" + id_);
  EXPECT_TRUE(scratch_.Exists(path));
  ASSERT_TRUE(driver_->Remove(id_, path).ok());
  EXPECT_TRUE(scratch_.Exists(scratch_.path() + "/default"));
}

TEST_F(CgroupfsDriverTest, AFailedCreateLeavesNothing) {
  Child gone([] { return 0; });
  const pid_t pid = gone.pid();
  gone.Wait();
  const std::string parent = scratch_.path() + "/kubepods";
  const absl::Status status = driver_->Create(id_, parent, "pod", pid);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("ESRCH"));
  EXPECT_FALSE(scratch_.Exists(parent));
}

TEST_F(CgroupfsDriverTest, RemoveTakesNestedCgroupsAndTheirProcesses) {
  Child monitor = Child::Sleeper();
  const std::string path = driver_->PathOf(id_, scratch_.path());
  ASSERT_TRUE(driver_->Create(id_, scratch_.path(), "p", monitor.pid()).ok());
  std::vector<Child> children;
  std::string nested = path + "/container";
  for (int depth = 0; depth < 6; ++depth) {
    scratch_.MakeDir(nested);
    children.push_back(Child::Sleeper(scratch_.Open(nested).get()));
    ASSERT_GT(children.back().pid(), 0);
    nested += "/sub";
  }
  // Frozen processes die too.
  scratch_.Write(path + "/container/sub/cgroup.freeze", "1");
  ASSERT_TRUE(driver_->Remove(id_, path).ok());
  EXPECT_FALSE(scratch_.Exists(path));
  for (Child& child : children) EXPECT_EQ(child.Wait(), -SIGKILL);
}

// A privileged container may nest as it likes.
TEST_F(CgroupfsDriverTest, DeepCgroupsNeedFewDescriptors) {
  const std::string path = scratch_.path() + "/pinion-" + id_;
  scratch_.MakeDir(path);
  std::string nested = path;
  for (int i = 0; i < 100; ++i) {
    nested += "/d";
    scratch_.MakeDir(nested);
  }
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 32;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const absl::Status removed = driver_->Remove(id_, path);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_FALSE(scratch_.Exists(path));
}

TEST_F(CgroupfsDriverTest, LeftoversAreFoundAndRemovedById) {
  scratch_.MakeDir(scratch_.path() + "/deep");
  const std::string path = scratch_.path() + "/deep/pinion-" + id_;
  scratch_.MakeDir(path);
  scratch_.MakeDir(path + "/monitor");
  EXPECT_THAT(*driver_->ListPods(), Contains(id_));
  ASSERT_TRUE(driver_->Remove(id_, "").ok());
  EXPECT_FALSE(scratch_.Exists(path));
  EXPECT_TRUE(driver_->Remove(id_, "").ok());
}

TEST_F(CgroupfsDriverTest, DaemonsDoNotSeeEachOthersPods) {
  const auto one = New("/var/lib/one");
  const auto two = New("/var/lib/two");
  Child monitor = Child::Sleeper();
  ASSERT_TRUE(one->Create(id_, scratch_.path(), "p", monitor.pid()).ok());
  EXPECT_THAT(*one->ListPods(), ElementsAre(id_));
  EXPECT_THAT(*two->ListPods(), ElementsAre());
  EXPECT_THAT(*driver_->ListPods(), Contains(id_));
  ASSERT_TRUE(one->Remove(id_, one->PathOf(id_, scratch_.path())).ok());
}

TEST_F(CgroupfsDriverTest, RefusesParentsThatAreNoPaths) {
  for (const char* parent :
       {"kubepods", "/a/../b", "/a//b", "/..", "kubepods.slice", "/a/"}) {
    EXPECT_EQ(driver_->CheckParent(parent).code(),
              absl::StatusCode::kInvalidArgument)
        << parent;
    EXPECT_FALSE(driver_->Create(id_, parent, "p", 1).ok()) << parent;
  }
  EXPECT_THAT(std::string(driver_->CheckParent("kubepods.slice").message()),
              HasSubstr("systemd slice"));
  EXPECT_TRUE(driver_->CheckParent("").ok());
  EXPECT_TRUE(driver_->CheckParent("/kubepods/burstable/pod1").ok());
}

TEST_F(CgroupfsDriverTest, PodsComeAndGoBelowOneVanishingParent) {
  // The parent goes with the first pod while the second is being made.
  const std::string parent = scratch_.path() + "/kubepods";
  for (int i = 0; i < 50; ++i) {
    Child monitor = Child::Sleeper();
    const std::string id = NewId();
    ASSERT_TRUE(driver_->Create(id, parent, "p", monitor.pid()).ok());
    Child other([&] {
      const std::string second = NewId();
      const pid_t self = getpid();
      const absl::Status made = driver_->Create(second, parent, "p", self);
      // Out of it again, so that its removal does not kill this process.
      scratch_.Write("/cgroup.procs", std::to_string(self));
      const absl::Status gone =
          driver_->Remove(second, driver_->PathOf(second, parent));
      return made.ok() && gone.ok() ? 0 : 1;
    });
    EXPECT_TRUE(driver_->Remove(id, driver_->PathOf(id, parent)).ok());
    EXPECT_EQ(other.Wait(), 0);
  }
  EXPECT_FALSE(scratch_.Exists(parent));
}

}  // namespace
}  // namespace pinion::cgroup
