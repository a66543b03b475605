// The device filter in the kernel: processes in a scratch cgroup try to open
// and make devices. Needs root and CONFIG_CGROUP_BPF.

#include "runtime/cgroup/device_filter.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "base/id.h"
#include "runtime/cgroup/container_cgroup.h"
#include "tests/support/child.h"
#include "tests/support/scratch_cgroup.h"

namespace pinion::cgroup {
namespace {

using testing_support::Child;
using testing_support::ScratchCgroup;

class DeviceFilterTest : public testing::Test {
 protected:
  DeviceFilterTest()
      : cgroups_(*FindHierarchy(), MissingControllers::kIgnore),
        leaf_(*cgroups_.Create(scratch_.path(), NewId(), {})) {}

  // errno of open(2) in the leaf; 0 if it works.
  int Open(const char* path, int flags) {
    return Child([=] { return open(path, flags) >= 0 ? 0 : errno; },
                 leaf_.get())
        .Wait();
  }

  int Mknod(mode_t type, unsigned int major, unsigned int minor) {
    const std::string path = "/tmp/pn-cgroup-node-" + NewId().substr(0, 12);
    return Child(
               [=] {
                 if (mknod(path.c_str(), type | 0600, makedev(major, minor)) !=
                     0) {
                   return errno;
                 }
                 unlink(path.c_str());
                 return 0;
               },
               leaf_.get())
        .Wait();
  }

  size_t Attached() { return AttachedDevicePrograms(leaf_.get())->size(); }

  ScratchCgroup scratch_;
  ContainerCgroups cgroups_;
  os::UniqueFd leaf_;
};

TEST_F(DeviceFilterTest, OnlyWhatIsListedIsAllowed) {
  EXPECT_EQ(Open("/dev/null", O_RDWR), 0);
  EXPECT_EQ(Open("/dev/zero", O_RDONLY), 0);
  const absl::Status set =
      cgroups_.SetDevices(leaf_.get(), {{'c', 1, 3, "rw"}, {'c', 1, 8, "r"}});
  ASSERT_TRUE(set.ok()) << set;
  EXPECT_EQ(Open("/dev/null", O_RDWR), 0);
  EXPECT_EQ(Open("/dev/random", O_RDONLY), 0);
  EXPECT_EQ(Open("/dev/random", O_WRONLY), EPERM);
  EXPECT_EQ(Open("/dev/random", O_RDWR), EPERM);
  EXPECT_EQ(Open("/dev/zero", O_RDONLY), EPERM);
  EXPECT_EQ(Mknod(S_IFCHR, 1, 3), EPERM);
  EXPECT_EQ(Mknod(S_IFBLK, 8, 0), EPERM);
  EXPECT_EQ(Mknod(S_IFIFO, 0, 0), 0) << "no device";
}

TEST_F(DeviceFilterTest, MakingADeviceIsAnAccessOfItsOwn) {
  ASSERT_TRUE(
      cgroups_.SetDevices(leaf_.get(), {{'c', -1, -1, "m"}, {'b', -1, -1, "m"}})
          .ok());
  EXPECT_EQ(Mknod(S_IFCHR, 1, 3), 0);
  EXPECT_EQ(Mknod(S_IFBLK, 8, 0), 0);
  EXPECT_EQ(Open("/dev/null", O_RDONLY), EPERM);
}

TEST_F(DeviceFilterTest, ReplacingLeavesNoOldProgram) {
  EXPECT_EQ(Attached(), 0U);
  ASSERT_TRUE(cgroups_.SetDevices(leaf_.get(), {{'c', 1, 3, "rw"}}).ok());
  EXPECT_EQ(Attached(), 1U);
  ASSERT_TRUE(cgroups_.SetDevices(leaf_.get(), {{'c', 1, 3, "rw"}}).ok());
  EXPECT_EQ(Attached(), 1U) << "the same again";
  ASSERT_TRUE(cgroups_.SetDevices(leaf_.get(), {{'c', 1, 5, "rw"}}).ok());
  EXPECT_EQ(Attached(), 1U);
  EXPECT_EQ(Open("/dev/null", O_RDWR), EPERM);
  EXPECT_EQ(Open("/dev/zero", O_RDWR), 0);
}

TEST_F(DeviceFilterTest, ADaemonsProgramReplacesItsPredecessors) {
  ASSERT_TRUE(cgroups_.SetDevices(leaf_.get(), {{'c', 1, 3, "rw"}}).ok());
  // A second loader knows nothing of the first one's program, so its program
  // of the same text is another one, and replaces it.
  ContainerCgroups other(*FindHierarchy(), MissingControllers::kIgnore);
  ASSERT_TRUE(other.SetDevices(leaf_.get(), {{'c', 1, 3, "rw"}}).ok());
  EXPECT_EQ(Attached(), 1U);
  EXPECT_EQ(Open("/dev/null", O_RDWR), 0);
  EXPECT_EQ(Open("/dev/zero", O_RDWR), EPERM);
}

TEST_F(DeviceFilterTest, EverythingForThePrivileged) {
  ASSERT_TRUE(
      cgroups_
          .SetDevices(leaf_.get(), {{'c', -1, -1, "rwm"}, {'b', -1, -1, "rwm"}})
          .ok());
  EXPECT_EQ(Open("/dev/zero", O_RDWR), 0);
  EXPECT_EQ(Mknod(S_IFBLK, 8, 0), 0);
}

TEST_F(DeviceFilterTest, TheLongestListLoads) {
  std::vector<DeviceRule> rules;
  for (int i = 0; i < 255; ++i) rules.push_back({'c', 500 + i, i, "r"});
  rules.push_back({'c', 1, 3, "rw"});
  ASSERT_TRUE(cgroups_.SetDevices(leaf_.get(), rules).ok());
  EXPECT_EQ(Open("/dev/null", O_RDWR), 0);
  EXPECT_EQ(Open("/dev/zero", O_RDONLY), EPERM);
}

TEST_F(DeviceFilterTest, ADescriptorThatIsNoCgroupIsAnError) {
  const os::UniqueFd tmp(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_FALSE(cgroups_.SetDevices(tmp.get(), {}).ok());
}

}  // namespace
}  // namespace pinion::cgroup
