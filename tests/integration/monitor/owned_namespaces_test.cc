// Sandboxes with a user namespace of their own: which is made, which belongs
// to which, and what is refused.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <fstream>

#include "os/file.h"
#include "tests/integration/monitor/monitor_bed.h"

namespace pinion::monitor {
namespace {

using testing::HasSubstr;

constexpr char kMap[] = "0 131072 65536\n";

std::string Of(pid_t pid, const std::string& rest) {
  return "/proc/" + std::to_string(pid) + "/" + rest;
}

ino_t InodeAt(const std::string& path) {
  struct stat st = {};
  EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
  return st.st_ino;
}

// The user namespace that the namespace at `path` belongs to.
ino_t OwnerOf(const std::string& path) {
  const auto space = os::OpenAt(AT_FDCWD, path, O_RDONLY);
  EXPECT_TRUE(space.ok()) << space.status();
  if (!space.ok()) return 0;
  const os::UniqueFd owner(ioctl(space->get(), NS_GET_USERNS));
  struct stat st = {};
  EXPECT_EQ(fstat(owner.get(), &st), 0) << path;
  return st.st_ino;
}

std::string Words(const std::string& path) {
  std::ifstream file(path);
  std::string words, word;
  while (file >> word) words += (words.empty() ? "" : " ") + word;
  return words;
}

class OwnedNamespacesTest : public MonitorTest {
 protected:
  static SandboxRequest Mapped() {
    SandboxRequest request;
    request.uid_map = request.gid_map = kMap;
    return request;
  }

  // What a monitor says to `request`, which it cannot do.
  std::string Refusal(const SandboxRequest& request) {
    Events events;
    MonitorClient::SpawnOptions options;
    options.pod_id = "pod";
    options.pod_dir_fd = pod_dir_fd_.get();
    options.image_fd = image_.get();
    auto client =
        MonitorClient::Spawn(options, reactor(), events.MakeCallbacks());
    EXPECT_TRUE(client.ok()) << client.status();
    if (!client.ok()) return "";
    const absl::Status status =
        (*client)->SetUpSandbox(request, Soon()).status();
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE((*client)->Shutdown(Soon()).ok());
    return std::string(status.message());
  }
};

TEST_F(OwnedNamespacesTest, AllButTheMonitorsOwnBelongToIt) {
  SandboxRequest request = Mapped();
  request.shared_pid = true;
  StartPod(request);
  const pid_t monitor = sandbox_.monitor_pid;
  const pid_t init = sandbox_.init_pid;
  const ino_t node = InodeAt("/proc/self/ns/user");
  const ino_t pod = InodeAt(Of(init, "ns/user"));
  EXPECT_NE(pod, node);
  EXPECT_EQ(InodeAt(Of(monitor, "ns/user")), node);
  for (const char* space : {"ns/net", "ns/ipc", "ns/uts"}) {
    EXPECT_EQ(OwnerOf(Of(monitor, space)), pod) << space;
  }
  EXPECT_EQ(OwnerOf(Of(monitor, "fd/" + std::to_string(kMonitorNetnsFd))), pod);
  EXPECT_EQ(OwnerOf(Of(init, "ns/pid")), pod);
  EXPECT_EQ(OwnerOf(Of(init, "ns/mnt")), pod);
  EXPECT_EQ(Words(Of(init, "uid_map")), "0 131072 65536");
  EXPECT_EQ(Words(Of(init, "gid_map")), "0 131072 65536");
  struct stat st = {};
  ASSERT_EQ(stat(Of(init, "").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 131072u);
}

TEST_F(OwnedNamespacesTest, WhoMadeThemIsGone) {
  StartPod(Mapped());
  const pid_t monitor = sandbox_.monitor_pid;
  const std::string children =
      Of(monitor, "task/" + std::to_string(monitor) + "/children");
  EXPECT_TRUE(Eventually([&] { return Words(children).empty(); }));
}

TEST_F(OwnedNamespacesTest, MapsThatTheKernelDoesNotTake) {
  SandboxRequest request = Mapped();
  request.uid_map = "0 0\n";
  EXPECT_THAT(Refusal(request), HasSubstr("write uid_map: EINVAL"));
  request = Mapped();
  request.gid_map = "0 1 2\n1 5 2\n";
  EXPECT_THAT(Refusal(request), HasSubstr("write gid_map: EINVAL"));
}

TEST_F(OwnedNamespacesTest, SysctlsOfTheNodeAreRefused) {
  for (const char* name : {"kernel.panic", "vm.swappiness"}) {
    SandboxRequest request = Mapped();
    request.sysctls = {{name, "1"}};
    EXPECT_THAT(Refusal(request), HasSubstr(name));
  }
  SandboxRequest request = Mapped();
  request.new_ipc = false;
  request.sysctls = {{"kernel.shm_rmid_forced", "1"}};
  EXPECT_THAT(Refusal(request), HasSubstr("kernel.shm_rmid_forced"));
}

TEST_F(OwnedNamespacesTest, ADirectoryWhoseIdsCannotBeMapped) {
  const absl::Status proc = CheckUserNamespaces(image_.get(), "/proc");
  EXPECT_TRUE(absl::IsFailedPrecondition(proc)) << proc;
  EXPECT_THAT(std::string(proc.message()),
              HasSubstr("map the ids of /proc and"));
  const absl::Status none = CheckUserNamespaces(image_.get(), "/none");
  EXPECT_THAT(std::string(none.message()), HasSubstr("ENOENT"));
}

}  // namespace
}  // namespace pinion::monitor
