#include "runtime/cgroup/hierarchy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::cgroup {
namespace {

using testing::HasSubstr;

constexpr char kUnified[] =
    "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 "
    "rw,nsdelegate,memory_recursiveprot\n";
constexpr char kHybrid[] =
    "30 22 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw\n"
    "31 30 0:27 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n"
    "32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

TEST(HierarchyTest, FindsAUnifiedHost) {
  const auto found = ParseHierarchy(kUnified);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->root, "/sys/fs/cgroup");
  EXPECT_FALSE(found->hybrid);
}

TEST(HierarchyTest, FindsAHybridHost) {
  const auto found = ParseHierarchy(kHybrid);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->root, "/sys/fs/cgroup/unified");
  EXPECT_TRUE(found->hybrid);
}

TEST(HierarchyTest, ANamedHierarchyHoldsNoController) {
  const auto found = ParseHierarchy(
      "31 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup "
      "rw,xattr,name=systemd\n"
      "32 30 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_FALSE(found->hybrid);
}

TEST(HierarchyTest, PrefersTheUsualMountPoint) {
  const auto found = ParseHierarchy(
      "29 22 0:26 / /opt/my\\040cgroups rw - cgroup2 cgroup2 rw\n"
      "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
      "31 22 0:26 / /mnt rw - cgroup2 cgroup2 rw\n");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->root, "/sys/fs/cgroup");
  EXPECT_EQ(ParseHierarchy("29 22 0:26 / /opt/my\\040cgroups rw - cgroup2 "
                           "cgroup2 rw\n")
                ->root,
            "/opt/my cgroups");
}

TEST(HierarchyTest, WithoutV2SaysWhatToDo) {
  for (const char* text :
       {"", "garbage\n", "1 2 3\n", "31 30 0:27 / /c rw - cgroup c rw,cpu\n"}) {
    const auto found = ParseHierarchy(text);
    EXPECT_EQ(found.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(found.status().message()),
                HasSubstr("systemd.unified_cgroup_hierarchy=1"));
  }
}

TEST(HierarchyTest, RemedyFitsTheCause) {
  Hierarchy host{"/sys/fs/cgroup", false, {"cpu"}};
  EXPECT_THAT(MissingControllerRemedy(host, "cpu"),
              HasSubstr("cgroup.subtree_control"));
  EXPECT_THAT(MissingControllerRemedy(host, "memory"),
              HasSubstr("cgroup_disable="));
  host.hybrid = true;
  EXPECT_THAT(MissingControllerRemedy(host, "memory"),
              HasSubstr("unified_cgroup_hierarchy"));
}

}  // namespace
}  // namespace pinion::cgroup
