// Needs root for its own device nodes.

#include "runtime/plan/devices.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "os/file.h"

namespace pinion::plan {
namespace {

class DevicesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "mknod needs root";
    dir_ = "/tmp/pn-devices-" + std::to_string(getpid());
    ASSERT_TRUE(os::MakeDirs(dir_ + "/sub", 0755).ok());
    ASSERT_EQ(mknod((dir_ + "/a").c_str(), S_IFCHR | 0640, makedev(1, 3)), 0);
    ASSERT_EQ(mknod((dir_ + "/sub/b").c_str(), S_IFBLK | 0600, makedev(7, 9)),
              0);
    ASSERT_EQ(mknod((dir_ + "/plain").c_str(), S_IFREG | 0600, 0), 0);
    ASSERT_EQ(symlink("a", (dir_ + "/link").c_str()), 0);
  }
  void TearDown() override {
    if (!dir_.empty()) {
      EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, dir_).ok());
    }
  }

  static const launch::DeviceNode* Find(const DeviceSet& set,
                                        const std::string& path) {
    for (const launch::DeviceNode& node : set.nodes) {
      if (node.path == path) return &node;
    }
    return nullptr;
  }

  static bool Allows(const DeviceSet& set, char type, int64_t major,
                     int64_t minor, const std::string& access) {
    for (const cgroup::DeviceRule& rule : set.rules) {
      if (rule.type == type && rule.major == major && rule.minor == minor &&
          rule.access == access) {
        return true;
      }
    }
    return false;
  }

  std::string dir_;
};

TEST_F(DevicesTest, DefaultsAreSixNodes) {
  const DeviceSet set = CompileDevices({}, false).value();
  EXPECT_EQ(set.nodes.size(), 6u);
  const launch::DeviceNode* null = Find(set, "/dev/null");
  ASSERT_NE(null, nullptr);
  EXPECT_EQ(null->major, 1u);
  EXPECT_EQ(null->minor, 3u);
  EXPECT_EQ(null->mode, 0666u);
  EXPECT_TRUE(Allows(set, 'c', 1, 3, "rwm"));
  EXPECT_TRUE(Allows(set, 'c', 136, -1, "rwm"));
  EXPECT_TRUE(Allows(set, 'b', -1, -1, "m"));
  EXPECT_FALSE(Allows(set, 'b', -1, -1, "rwm"));
}

TEST_F(DevicesTest, RequestedDeviceTakesNumbersAndModeFromTheHost) {
  const DeviceSet set =
      CompileDevices({{dir_ + "/sub/b", "/dev/mine", "r"}}, false).value();
  const launch::DeviceNode* node = Find(set, "/dev/mine");
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(node->type, 'b');
  EXPECT_EQ(node->major, 7u);
  EXPECT_EQ(node->minor, 9u);
  EXPECT_EQ(node->mode, 0600u);
  EXPECT_TRUE(Allows(set, 'b', 7, 9, "r"));
}

TEST_F(DevicesTest, LinkToADeviceIsFollowedWhenNamed) {
  const DeviceSet set =
      CompileDevices({{dir_ + "/link", "", ""}}, false).value();
  ASSERT_NE(Find(set, dir_ + "/link"), nullptr);
  EXPECT_EQ(Find(set, dir_ + "/link")->minor, 3u);
}

TEST_F(DevicesTest, RequestsForOneDeviceAreOneRule) {
  const DeviceSet set = CompileDevices({{dir_ + "/sub/b", "/dev/r", "r"},
                                        {dir_ + "/sub/b", "/dev/w", "w"}},
                                       false)
                            .value();
  EXPECT_NE(Find(set, "/dev/r"), nullptr);
  EXPECT_NE(Find(set, "/dev/w"), nullptr);
  EXPECT_TRUE(Allows(set, 'b', 7, 9, "rw"))
      << "an open for both needs one rule that has both";
}

TEST_F(DevicesTest, DirectoryMeansTheDevicesBelow) {
  const DeviceSet set = CompileDevices({{dir_, "/dev/x", "rw"}}, false).value();
  EXPECT_NE(Find(set, "/dev/x/a"), nullptr);
  EXPECT_NE(Find(set, "/dev/x/sub/b"), nullptr);
  EXPECT_EQ(Find(set, "/dev/x/plain"), nullptr);
  EXPECT_EQ(Find(set, "/dev/x/link"), nullptr);
  EXPECT_TRUE(Allows(set, 'b', 7, 9, "rw"));
}

TEST_F(DevicesTest, PrivilegedSeesTheHostsDevicesAndMayUseAll) {
  const DeviceSet set = CompileDevices({}, true).value();
  EXPECT_NE(Find(set, "/dev/null"), nullptr);
  EXPECT_EQ(set.rules.size(), 2u);
  EXPECT_TRUE(Allows(set, 'c', -1, -1, "rwm"));
  EXPECT_TRUE(Allows(set, 'b', -1, -1, "rwm"));
  for (const launch::DeviceNode& node : set.nodes) {
    EXPECT_EQ(node.path.find("/dev/pts/"), std::string::npos);
  }
}

TEST_F(DevicesTest, BadRequestsAreRefused) {
  EXPECT_TRUE(absl::IsNotFound(
      CompileDevices({{dir_ + "/none", "", ""}}, false).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      CompileDevices({{dir_ + "/plain", "", ""}}, false).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      CompileDevices({{dir_ + "/a", "", "rx"}}, false).status()));
  for (const char* path : {"dev/a", "/dev/../etc/a", ""}) {
    const DeviceRequest request = {dir_ + "/a", path, ""};
    if (*path == '\0') continue;  // as on the host
    EXPECT_TRUE(
        absl::IsInvalidArgument(CompileDevices({request}, false).status()))
        << path;
  }
}

}  // namespace
}  // namespace pinion::plan
