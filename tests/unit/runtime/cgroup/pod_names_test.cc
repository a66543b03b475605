#include <gtest/gtest.h>

#include "base/id.h"
#include "runtime/cgroup/cgroup_dir.h"
#include "runtime/cgroup/pod_subtree.h"

namespace pinion::cgroup {
namespace {

TEST(CgroupPathTest, TakesOnlyCleanAbsolutePaths) {
  EXPECT_TRUE(CheckCgroupPath("/a").ok());
  EXPECT_TRUE(CheckCgroupPath("/kubepods/burstable/pod1-2").ok());
  for (const char* path :
       {"", "/", "a", "a/b", "/a/", "//a", "/a//b", "/a/../b", "/..", "/./a",
        "/a/.", "/a\nb", "/a/\x7f"}) {
    EXPECT_EQ(CheckCgroupPath(path).code(), absl::StatusCode::kInvalidArgument)
        << path;
  }
}

TEST(LeafNameTest, CannotHideAnInterfaceFileOrTheMonitor) {
  EXPECT_TRUE(CheckLeafName(NewId()).ok());
  for (const char* name :
       {"", ".", "..", "a/b", "monitor", "cgroup.procs", "memory.max"}) {
    EXPECT_FALSE(CheckLeafName(name).ok()) << name;
  }
}

TEST(PodNameTest, IsFoundAgainWithEitherDriver) {
  const std::string id = NewId();
  EXPECT_EQ(PodIdOfCgroup(PodUnitStem(id)), id);
  EXPECT_EQ(PodIdOfCgroup(PodUnitStem(id) + ".scope"), id);
  for (const std::string& name :
       {std::string("pinion-"), std::string("pinion-.scope"),
        std::string("pinion-x"), PodUnitStem(id) + ".slice",
        PodUnitStem(id) + "0", "cri-" + id, id}) {
    EXPECT_EQ(PodIdOfCgroup(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace pinion::cgroup
