// CLONE_INTO_CGROUP and the cgroup namespace. Makes directories in the
// machine's cgroup v2 hierarchy and removes them.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "runtime/plan/rootfs_defaults.h"
#include "tests/integration/launch/launch_bed.h"
#include "tests/support/eventually.h"

namespace pinion::launch {
namespace {

using testing::HasSubstr;

// Where cgroup2 is mounted.
std::string FindHierarchy() {
  std::ifstream mounts("/proc/self/mounts");
  std::string line;
  while (std::getline(mounts, line)) {
    std::string source, target, type;
    std::istringstream(line) >> source >> target >> type;
    if (type == "cgroup2") return target;
  }
  return "";
}

class CgroupTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    const std::string root = FindHierarchy();
    ASSERT_NE(root, "") << "no cgroup2 mount";
    name_ = "/pn-launch-" + std::to_string(getpid());
    leaf_ = root + name_;
    ASSERT_EQ(mkdir(leaf_.c_str(), 0755), 0);
    ASSERT_EQ(mkdir((leaf_ + "/exec").c_str(), 0755), 0);
    leaf_fd_ = os::UniqueFd(open(leaf_.c_str(), O_RDONLY | O_CLOEXEC));
    exec_fd_ =
        os::UniqueFd(open((leaf_ + "/exec").c_str(), O_RDONLY | O_CLOEXEC));
  }
  void TearDown() override {
    for (const std::string& group : {leaf_ + "/exec", leaf_}) {
      EXPECT_TRUE(testing_support::Eventually([&] {
        return rmdir(group.c_str()) == 0;
      })) << group;
    }
    LaunchTest::TearDown();
  }

  std::string name_, leaf_;
  os::UniqueFd leaf_fd_, exec_fd_;
};

TEST_F(CgroupTest, LeafIsTheRootOfTheContainersNamespace) {
  LaunchFds fds;
  fds.cgroup_fd = leaf_fd_.get();
  Process process =
      Start(Shell("grep ^0: /proc/self/cgroup; ls -d /sys/fs/cgroup/exec; "
                  "echo up; read x"),
            fds);
  EXPECT_EQ(process.ReadLine(), "0::/");
  EXPECT_EQ(process.ReadLine(), "/sys/fs/cgroup/exec");
  EXPECT_EQ(process.ReadLine(), "up");
  EXPECT_EQ(ReadFile(leaf_ + "/cgroup.procs"),
            std::to_string(process.pid()) + "\n");

  LaunchFds exec_fds;
  exec_fds.cgroup_fd = exec_fd_.get();
  const Outcome o =
      Run(ExecIn(process, {"grep", "^0:", "/proc/self/cgroup"}), exec_fds);
  EXPECT_EQ(o.out, "0::/exec\n");
  EXPECT_TRUE(process.Finish().started);
}

TEST_F(CgroupTest, WithoutANamespaceTheHostsHierarchyShows) {
  LaunchFds fds;
  fds.cgroup_fd = leaf_fd_.get();
  LaunchSpec spec = Shell(
      "grep ^0: /proc/self/cgroup; find /sys/fs/cgroup "
      "-maxdepth 2 -name 'pn-launch-*'; "
      "mkdir /sys/fs/cgroup/x");
  spec.kernel_mounts.clear();
  spec.symlinks.clear();
  spec.own_cgroup_namespace = false;
  plan::AddRootfsDefaults({}, spec);
  const Outcome o = Run(spec, fds);
  EXPECT_THAT(o.out, HasSubstr(name_ + "\n/sys/fs/cgroup"));
  EXPECT_THAT(o.err, HasSubstr("Read-only file system"));
}

// It would change the options of the host's own mount.
TEST_F(CgroupTest, MountingTheHierarchyAnewNeedsANamespace) {
  LaunchSpec spec = Container({"true"});
  spec.own_cgroup_namespace = false;
  const Outcome o = Run(spec);
  EXPECT_STREQ(o.failure.object, "/sys/fs/cgroup");
  EXPECT_EQ(o.failure.error, EPERM);
}

TEST_F(CgroupTest, CgroupThatIsGoneIsAnErrorOfTheClone) {
  LaunchFds fds;
  const std::string gone = leaf_ + "/gone";
  ASSERT_EQ(mkdir(gone.c_str(), 0755), 0);
  const os::UniqueFd fd(open(gone.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(rmdir(gone.c_str()), 0);
  fds.cgroup_fd = fd.get();
  const std::string plan = EncodePlan(Container({"true"}));
  Launched launched;
  Failure failure;
  EXPECT_EQ(launch::Launch(plan.data(), plan.size(), fds, &launched, &failure),
            -1);
  EXPECT_STREQ(StepName(failure.step), "clone3");
  EXPECT_THAT(failure.error, testing::AnyOf(ENOENT, ENODEV));
}

}  // namespace
}  // namespace pinion::launch
