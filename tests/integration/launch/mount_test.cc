// Mounts: kernel file systems, binds and their propagation, hidden paths,
// hostile links.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "os/file.h"
#include "tests/integration/launch/launch_bed.h"

namespace pinion::launch {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class MountTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    volume_ = dir() + "/volume";
    ASSERT_EQ(mkdir(volume_.c_str(), 0755), 0);
    WriteFile(volume_ + "/file", "from the host\n");
  }

  BindMount Volume(const std::string& target) {
    BindMount mount;
    mount.source = volume_;
    mount.target = target;
    return mount;
  }

  std::string volume_;
};

TEST_F(MountTest, KernelFileSystemsAreThere) {
  const Outcome o = Run(Shell("cut -d' ' -f2,3 /proc/mounts"));
  for (const char* line :
       {"/ overlay\n", "/proc proc\n", "/sys sysfs\n", "/dev tmpfs\n",
        "/dev/pts devpts\n", "/dev/shm tmpfs\n", "/dev/mqueue mqueue\n",
        "/sys/fs/cgroup cgroup2\n"}) {
    EXPECT_THAT(o.out, HasSubstr(line));
  }
  EXPECT_THAT(o.out, Not(HasSubstr("ext4")));
}

TEST_F(MountTest, SysIsReadOnlyUnlessPrivileged) {
  const Outcome o = Run(Shell("grep ' /sys sysfs' /proc/mounts"));
  EXPECT_THAT(o.out, HasSubstr(" ro,"));
}

TEST_F(MountTest, MaskedPathsShowNothingAndReadonlyOnesRefuseWrites) {
  const Outcome o =
      Run(Shell("wc -c < /proc/interrupts; ls -A /sys/firmware | wc -l; "
                "echo 1 > /proc/sys/kernel/panic"));
  EXPECT_EQ(o.out, "0\n0\n");
  EXPECT_THAT(o.err, HasSubstr("Read-only file system"));
}

TEST_F(MountTest, BindMountsDirectoriesAndFilesMakingTheirTargets) {
  LaunchSpec spec = Shell("cat /new/dir/file /etc/deep/name; touch /new/dir/w");
  spec.mounts.push_back(Volume("/new/dir"));
  BindMount file = Volume("/etc/deep/name");
  file.source = volume_ + "/file";
  spec.mounts.push_back(file);
  const Outcome o = Run(spec);
  EXPECT_EQ(o.out, "from the host\nfrom the host\n") << o.err;
  EXPECT_EQ(access((volume_ + "/w").c_str(), F_OK), 0);
}

TEST_F(MountTest, ADirectoryOnAFileAndTheReverseAreNamed) {
  LaunchSpec spec = Shell("true");
  BindMount file = Volume("/there");
  file.source = volume_ + "/file";
  spec.mounts = {file, Volume("/there")};
  const Outcome on_file = Run(spec);
  EXPECT_EQ(on_file.step, "mount");
  EXPECT_EQ(on_file.failure.error, ENOTDIR);
  file.target = "/etc";
  spec.mounts = {file};
  const Outcome on_directory = Run(spec);
  EXPECT_EQ(on_directory.step, "mount");
  EXPECT_EQ(on_directory.failure.error, EISDIR);
}

TEST_F(MountTest, MissingSourceSaysSo) {
  LaunchSpec spec = Container({"true"});
  BindMount mount = Volume("/mnt");
  mount.source = "/nonexistent/source";
  spec.mounts.push_back(mount);
  const Outcome o = Run(spec);
  EXPECT_EQ(o.step, "open mount source");
  EXPECT_EQ(o.failure.error, ENOENT);
  EXPECT_STREQ(o.failure.object, "/nonexistent/source");
}

TEST_F(MountTest, ReadonlyMountRefusesWrites) {
  LaunchSpec spec = Shell("touch /mnt/x");
  spec.mounts.push_back(Volume("/mnt"));
  spec.mounts.back().readonly = true;
  EXPECT_THAT(Run(spec).err, HasSubstr("Read-only file system"));
}

TEST_F(MountTest, RecursiveReadonlyReachesSubmountsPlainDoesNot) {
  const std::string sub = volume_ + "/sub";
  ASSERT_EQ(mkdir(sub.c_str(), 0755), 0);
  ASSERT_EQ(mount("tmpfs", sub.c_str(), "tmpfs", 0, nullptr), 0);
  LaunchSpec spec = Shell("touch /mnt/sub/x");
  spec.mounts.push_back(Volume("/mnt"));
  spec.mounts.back().readonly = true;
  const Outcome plain = Run(spec);
  spec.mounts.back().recursive_readonly = true;
  const Outcome recursive = Run(spec);
  ASSERT_EQ(umount(sub.c_str()), 0);
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_THAT(recursive.err, HasSubstr("Read-only file system"));
}

// A mount made on the host later, seen in the container or not; and one made
// in the container, seen on the host or not.
struct Seen {
  bool in_container = false;
  bool on_host = false;
};

TEST_F(MountTest, PropagationIsAsAsked) {
  const std::string sub = volume_ + "/sub";
  const std::string back = volume_ + "/back";
  ASSERT_EQ(mkdir(sub.c_str(), 0755), 0);
  ASSERT_EQ(mkdir(back.c_str(), 0755), 0);
  auto run = [&](Propagation propagation) {
    LaunchSpec spec = Shell(
        "mount -t tmpfs back /mnt/back; echo ready; read line; "
        "ls /mnt/sub; umount /mnt/back");
    spec.mounts.push_back(Volume("/mnt"));
    spec.mounts.back().propagation = propagation;
    const uint64_t all = (uint64_t{1} << 41) - 1 - (uint64_t{1} << 24);
    spec.capabilities = {all, all, all, 0};
    int in[2];
    EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
    LaunchFds fds;
    fds.stdin_fd = in[0];
    Process process = Start(spec, fds);
    close(in[0]);
    EXPECT_EQ(process.ReadLine(), "ready");
    Seen seen;
    seen.on_host =
        ReadFile("/proc/self/mounts").find(back) != std::string::npos;
    EXPECT_EQ(mount("tmpfs", sub.c_str(), "tmpfs", 0, nullptr), 0);
    WriteFile(sub + "/marker", "");
    EXPECT_EQ(write(in[1], "\n", 1), 1);
    close(in[1]);
    const Outcome o = process.Finish();
    EXPECT_EQ(o.err, "");
    seen.in_container = o.out == "marker\n";
    EXPECT_EQ(umount(sub.c_str()), 0);
    return seen;
  };
  const Seen none = run(Propagation::kPrivate);
  EXPECT_FALSE(none.in_container);
  EXPECT_FALSE(none.on_host);
  const Seen slave = run(Propagation::kSlave);
  EXPECT_TRUE(slave.in_container);
  EXPECT_FALSE(slave.on_host);
  const Seen shared = run(Propagation::kShared);
  EXPECT_TRUE(shared.in_container);
  EXPECT_TRUE(shared.on_host);
}

TEST_F(MountTest, LinkInTheImageCannotLeadAMountOut) {
  ASSERT_EQ(mkdir((dir() + "/outside").c_str(), 0755), 0);
  ASSERT_EQ(
      symlink((dir() + "/outside").c_str(), (layer() + "/absolute").c_str()),
      0);
  ASSERT_EQ(symlink("../../../../../../../../etc", (layer() + "/up").c_str()),
            0);
  LaunchSpec spec = Shell("cat /absolute/file /up/vol/file");
  spec.mounts.push_back(Volume("/absolute"));
  spec.mounts.push_back(Volume("/up/vol"));
  const Outcome o = Run(spec);
  EXPECT_EQ(o.out, "from the host\nfrom the host\n") << o.err;
  EXPECT_TRUE(os::ListDirAt(AT_FDCWD, dir() + "/outside").value().empty());
  // Inside, the path the link names was made in the container's root.
  EXPECT_EQ(access((upper() + dir() + "/outside").c_str(), F_OK), 0);
  EXPECT_EQ(access((upper() + "/etc/vol").c_str(), F_OK), 0);
}

// Two containers share a volume, and one exchanges a directory in it with a
// link out while the other's mount is being attached below that directory.
TEST_F(MountTest, ExchangedTargetNeverLeadsOut) {
  const std::string outside = dir() + "/outside";
  const std::string real = volume_ + "/dir";
  const std::string link = volume_ + "/link";
  ASSERT_EQ(mkdir(outside.c_str(), 0755), 0);
  ASSERT_EQ(mkdir(real.c_str(), 0755), 0);
  ASSERT_EQ(symlink(outside.c_str(), link.c_str()), 0);
  const pid_t attacker = fork();
  if (attacker == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) {
      renameat2(AT_FDCWD, real.c_str(), AT_FDCWD, link.c_str(),
                RENAME_EXCHANGE);
    }
  }
  int started = 0;
  // Longer where the attacker has won every time.
  for (int i = 0; i < 40 || (started == 0 && i < 400); ++i) {
    LaunchSpec spec = Container({"true"});
    spec.mounts.push_back(Volume("/vol"));
    spec.mounts.push_back(
        Volume("/vol/dir/made-" + std::to_string(i) + "/deeper"));
    started += Start(spec).Finish().started ? 1 : 0;
  }
  kill(attacker, SIGKILL);
  waitpid(attacker, nullptr, 0);
  EXPECT_GT(started, 0);
  EXPECT_TRUE(os::ListDirAt(AT_FDCWD, outside).value().empty());
}

TEST_F(MountTest, LinkLoopIsAnError) {
  ASSERT_EQ(symlink("loop", (layer() + "/loop").c_str()), 0);
  LaunchSpec spec = Container({"true"});
  spec.mounts.push_back(Volume("/loop/x"));
  const Outcome o = Run(spec);
  EXPECT_EQ(o.step, "make mount target");
  EXPECT_EQ(o.failure.error, ELOOP);
}

TEST_F(MountTest, ProcAsALinkIsRefused) {
  ASSERT_EQ(symlink("/tmp", (layer() + "/proc").c_str()), 0);
  const Outcome o = Run(Container({"true"}));
  EXPECT_EQ(o.step, "make mount target");
  EXPECT_EQ(o.failure.error, ELOOP);
}

TEST_F(MountTest, MagicLinkAsTargetIsRefused) {
  LaunchSpec spec = Container({"true"});
  spec.mounts.push_back(Volume("/proc/self/root/etc"));
  const Outcome o = Run(spec);
  EXPECT_EQ(o.failure.error, ELOOP);
}

TEST_F(MountTest, SwappedNullDeviceIsNotUsedForMasking) {
  LaunchSpec spec = Shell("wc -c < /proc/interrupts; cat /dev/null");
  BindMount fake = Volume("/dev/null");
  fake.source = volume_ + "/file";
  spec.mounts.push_back(fake);
  EXPECT_EQ(Run(spec).out, "0\nfrom the host\n");
}

TEST_F(MountTest, MaskingWithoutANullDeviceIsRefused) {
  LaunchSpec spec = Container({"true"});
  spec.devices.clear();
  const Outcome o = Run(spec);
  EXPECT_EQ(o.step, "mask path");
  EXPECT_EQ(o.failure.error, ENODEV);
}

TEST_F(MountTest, DevicesAndLinksInDevAreMade) {
  LaunchSpec spec = Shell(
      "stat -c '%n %t %T %a %u %g' /dev/null /dev/sub/zero; "
      "readlink /dev/fd; readlink /dev/ptmx; echo x > /dev/null && echo "
      "written");
  spec.devices.push_back({"/dev/sub/zero", 'c', 1, 5, 0640, 3, 4});
  EXPECT_EQ(Run(spec).out,
            "/dev/null 1 3 666 0 0\n/dev/sub/zero 1 5 640 3 4\n"
            "/proc/self/fd\npts/ptmx\nwritten\n");
}

TEST_F(MountTest, TheHostsRootIsGone) {
  // Were the old root only hidden, it would show in mountinfo's parents or
  // be reachable by "..".
  const Outcome o = Run(Shell("ls /../../..; wc -l < /proc/self/mountinfo"));
  EXPECT_THAT(o.out, StartsWith("bin\ndev\n"));
  EXPECT_THAT(o.out, Not(HasSubstr("boot")));
}

TEST_F(MountTest, AnImagesLayersAreOneReadOnlyTree) {
  for (const char* name : {"/layers/7/dir", "/layers/8/dir"}) {
    ASSERT_TRUE(os::MakeDirs(dir() + name, 0755).ok());
  }
  WriteFile(dir() + "/layers/7/dir/top", "of the top\n");
  WriteFile(dir() + "/layers/7/dir/both", "of the top\n");
  WriteFile(dir() + "/layers/8/dir/both", "of the bottom\n");
  WriteFile(dir() + "/layers/8/file", "of the bottom\n");
  ASSERT_EQ(symlink("/../../dir", (dir() + "/layers/8/link").c_str()), 0);
  LaunchSpec spec = Shell(
      "cat /all/dir/both /all/file /one/dir/both; ls /sub; cat /single;"
      "for d in /all /one /sub; do touch $d/x 2>/dev/null || echo readonly; "
      "done; grep -c noexec /proc/self/mountinfo > /dev/null && echo noexec");
  const auto add = [&spec](const std::string& target,
                           const std::vector<std::string>& layers,
                           const std::string& sub_path) {
    BindMount mount;
    mount.target = target;
    mount.image_layers = layers;
    mount.image_sub_path = sub_path;
    spec.mounts.push_back(mount);
  };
  add("/all", {"layers/7", "layers/8"}, "");
  add("/one", {"layers/8"}, "");
  add("/sub", {"layers/7", "layers/8"}, "link");
  add("/single", {"layers/7", "layers/8"}, "dir/top");
  const Outcome o = Run(spec);
  ASSERT_TRUE(o.started);
  EXPECT_EQ(o.out,
            "of the top\nof the bottom\nof the bottom\nboth\ntop\n"
            "of the top\nreadonly\nreadonly\nreadonly\nnoexec\n")
      << o.err;
}

TEST_F(MountTest, AnImageWithoutTheSubPathIsNamed) {
  LaunchSpec spec = Shell("true");
  BindMount mount;
  mount.target = "/image";
  mount.image_layers = {"layers/1"};
  mount.image_sub_path = "nope";
  spec.mounts.push_back(mount);
  const Outcome o = Start(spec).Finish();
  EXPECT_FALSE(o.started);
  EXPECT_EQ(o.step, "ImageVolumeMountFailed: mount image at");
  EXPECT_STREQ(o.failure.object, "/image");
  EXPECT_EQ(o.failure.error, ENOENT);
}

}  // namespace
}  // namespace pinion::launch
