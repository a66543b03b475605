// CDI devices in a container of a real daemon's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>

#include "tests/support/daemon_bed.h"
#include "tests/support/scratch_dir.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;
using ::testing::HasSubstr;

class CdiTest : public ::testing::Test {
 protected:
  CdiTest() : bed_("[runtime]\ncdi_spec_dirs = [\"" + cdi_dir_ + "\"]\n") {
    std::filesystem::create_directory(cdi_dir_);
    std::filesystem::create_directory(scratch_.path() + "/lib");
    std::ofstream(scratch_.path() + "/lib/vendor.so") << "library\n";
    std::filesystem::copy("/bin/busybox", scratch_.path() + "/lib/program");
  }

  void WriteSpec(const std::string& devices, const std::string& edits = "{}") {
    std::ofstream(cdi_dir_ + "/vendor.yaml")
        << "cdiVersion: 0.7.0\nkind: vendor.com/gpu\ncontainerEdits: " << edits
        << "\ndevices:\n"
        << devices;
  }

  absl::Status TryCreate(const std::string& pod, const std::string& device) {
    cri::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod);
    *request.mutable_config() = bed_.ContainerConfig("refused", {"true"});
    request.mutable_config()->add_cdi_devices()->set_name(device);
    cri::CreateContainerResponse response;
    return bed_.client().Call(request, &response);
  }

  ScratchDir scratch_;
  const std::string cdi_dir_ = scratch_.path() + "/cdi";
  DaemonBed bed_;
};

TEST_F(CdiTest, TheEditsAreThere) {
  WriteSpec(
      "- name: zero\n"
      "  containerEdits:\n"
      "    env: [DEVICE=zero, PATH_OF_IT=/dev/vendor/zero]\n"
      "    additionalGids: [4444]\n"
      "    deviceNodes:\n"
      "    - {path: /dev/vendor/zero, hostPath: /dev/zero, permissions: r,\n"
      "       fileMode: 0640, gid: 4444}\n"
      "    - {path: /dev/vendor/full, type: c, major: 1, minor: 7}\n",
      "{env: [WHO=vendor], mounts: [{hostPath: " + scratch_.path() +
          "/lib, containerPath: /opt/vendor, "
          "options: [ro, nosuid, nodev, noexec, bind]}]}");
  const auto pod_config = bed_.PodConfig("pod");
  const std::string pod = bed_.RunPod(pod_config);
  auto config = bed_.ContainerConfig(
      "app",
      {"sh", "-c",
       "echo $WHO $DEVICE $PATH_OF_IT; stat -c '%t:%T %a %u:%g' "
       "/dev/vendor/zero /dev/vendor/full; cat /opt/vendor/vendor.so; "
       "head -c 3 /dev/vendor/zero | wc -c; "
       "echo x 2>/dev/null >/dev/vendor/full || echo full; "
       "touch /opt/vendor/x 2>/dev/null || echo read-only; "
       "/opt/vendor/program true 2>/dev/null || echo no programs; "
       "grep -o 'ro,nosuid,nodev,noexec' /proc/self/mountinfo | head -n1; "
       "id -G"});
  auto* security = config.mutable_linux()->mutable_security_context();
  security->mutable_run_as_user()->set_value(1234);
  security->mutable_run_as_group()->set_value(2345);
  auto* env = config.add_envs();
  env->set_key("WHO");
  env->set_value("the pod");
  (*config.mutable_annotations())["cdi.k8s.io/vendor"] = "vendor.com/gpu=zero";
  const std::string id = bed_.RunContainer(pod, pod_config, config);
  EXPECT_EQ(bed_.AwaitExit(id).exit_code(), 0);
  EXPECT_EQ(bed_.LogLines("pod", "app"),
            (std::vector<std::string>{
                "vendor zero /dev/vendor/zero", "1:5 640 1234:4444",
                "1:7 666 1234:2345", "library", "3", "full", "read-only",
                "no programs", "ro,nosuid,nodev,noexec", "2345 4444"}));
  EXPECT_THAT(bed_.Status(id).user().linux().supplemental_groups(),
              ::testing::Contains(4444));
}

// The device filter allows what the specification does, and no more: zero is
// allowed to all, so a device that is not.
TEST_F(CdiTest, TheDeviceFilterAllowsThem) {
  const std::string node = scratch_.path() + "/mem";
  ASSERT_EQ(mknod(node.c_str(), S_IFCHR | 0600, makedev(10, 229)), 0);
  WriteSpec(
      "- {name: fuse, containerEdits: {deviceNodes: [{path: /dev/fuse9, "
      "hostPath: " +
      node + ", permissions: r}]}}\n");
  const auto pod_config = bed_.PodConfig("pod");
  const std::string pod = bed_.RunPod(pod_config);
  auto config = bed_.ContainerConfig(
      "app", {"sh", "-c",
              "mknod /dev/other c 10 229; for d in /dev/fuse9 /dev/other; do "
              "(exec 3<$d) 2>&1 | grep -c 'not permitted'; "
              "(exec 3>$d) 2>&1 | grep -c 'not permitted'; done"});
  config.add_cdi_devices()->set_name("vendor.com/gpu=fuse");
  const std::string id = bed_.RunContainer(pod, pod_config, config);
  (void)bed_.AwaitExit(id);
  // Reading is allowed (whether there is a driver or not), writing is not.
  EXPECT_EQ(bed_.LogLines("pod", "app"),
            (std::vector<std::string>{"0", "1", "0", "1"}));
  auto without = bed_.ContainerConfig(
      "without", {"sh", "-c",
                  "mknod /dev/other c 10 229; (exec 3</dev/other) 2>&1 | "
                  "grep -c 'not permitted'"});
  (void)bed_.AwaitExit(bed_.RunContainer(pod, pod_config, without));
  EXPECT_EQ(bed_.LogLines("pod", "without"), std::vector<std::string>{"1"});
}

TEST_F(CdiTest, RefusalsNameTheDevice) {
  WriteSpec(
      "- {name: gone, containerEdits: {deviceNodes: [{path: /dev/pn-none}]}}\n"
      "- {name: hook, containerEdits: {hooks: [{hookName: createContainer, "
      "path: /usr/bin/vendor-ctk}]}}\n"
      "- {name: fine, containerEdits: {env: [A=B]}}\n");
  const std::string pod = bed_.RunPod(bed_.PodConfig("pod"));
  const auto expect = [&](const char* name, absl::StatusCode code,
                          const char* text) {
    const absl::Status status =
        TryCreate(pod, std::string("vendor.com/gpu=") + name);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  };
  expect("none", absl::StatusCode::kInvalidArgument, "vendor.com/gpu=none");
  expect("gone", absl::StatusCode::kFailedPrecondition,
         "CDI device /dev/pn-none: ENOENT");
  expect("hook", absl::StatusCode::kUnimplemented,
         "vendor.com/gpu=hook: hook createContainer (/usr/bin/vendor-ctk)");
  expect("fine", absl::StatusCode::kOk, "");
}

// Owners are the container's ids, and what is not mapped or would not be seen
// is refused.
TEST_F(CdiTest, InAUserNamespace) {
  WriteSpec(
      "- {name: zero, containerEdits: {deviceNodes: [{path: /dev/vendor/zero, "
      "hostPath: /dev/zero, fileMode: 0640, gid: 4444}]}}\n"
      "- {name: outside, containerEdits: {deviceNodes: [{path: /vendor/zero, "
      "hostPath: /dev/zero}]}}\n"
      "- {name: group, containerEdits: {additionalGids: [70000]}}\n");
  auto pod_config = bed_.PodConfig("pod");
  auto* userns = pod_config.mutable_linux()
                     ->mutable_security_context()
                     ->mutable_namespace_options()
                     ->mutable_userns_options();
  userns->set_mode(cri::POD);
  for (cri::IDMapping* ids : {userns->add_uids(), userns->add_gids()}) {
    ids->set_host_id(131072);
    ids->set_length(65536);
  }
  const std::string pod = bed_.RunPod(pod_config);
  auto config =
      bed_.ContainerConfig("app", {"sh", "-c",
                                   "stat -c '%a %u:%g' /dev/vendor/zero; "
                                   "head -c 3 /dev/vendor/zero | wc -c"});
  auto* security = config.mutable_linux()->mutable_security_context();
  security->mutable_run_as_user()->set_value(1234);
  config.add_cdi_devices()->set_name("vendor.com/gpu=zero");
  (void)bed_.AwaitExit(bed_.RunContainer(pod, pod_config, config));
  EXPECT_EQ(bed_.LogLines("pod", "app"),
            (std::vector<std::string>{"640 1234:4444", "3"}));
  const auto refusal = [&](const std::string& name) {
    const absl::Status status = TryCreate(pod, "vendor.com/gpu=" + name);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(refusal("outside"), HasSubstr("device /vendor/zero: "));
  EXPECT_THAT(refusal("group"), HasSubstr("group 70000 is not mapped"));
}

// The file may go: what it said is in the record.
TEST_F(CdiTest, WorksOnAfterARestartWithoutTheFile) {
  WriteSpec(
      "- {name: a, containerEdits: {env: [A=B], deviceNodes: "
      "[{path: /dev/vendor, hostPath: /dev/null}]}}\n");
  const auto pod_config = bed_.PodConfig("pod");
  const std::string pod = bed_.RunPod(pod_config);
  auto config = bed_.ContainerConfig(
      "app", {"sh", "-c", "stat -c %t:%T /dev/vendor; echo $A"});
  config.add_cdi_devices()->set_name("vendor.com/gpu=a");
  const std::string id = bed_.Create(pod, pod_config, config);
  std::filesystem::remove_all(cdi_dir_);
  bed_.Kill();
  bed_.Start();
  bed_.StartContainer(id);
  EXPECT_EQ(bed_.AwaitExit(id).exit_code(), 0);
  EXPECT_EQ(bed_.LogLines("pod", "app"),
            (std::vector<std::string>{"1:3", "B"}));
}

}  // namespace
}  // namespace pinion::testing
