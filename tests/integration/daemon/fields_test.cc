// What a container sees of what was asked for.

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "tests/support/daemon_bed.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

class FieldsTest : public ::testing::Test {
 protected:
  // Runs `script` in a container of its own; what it wrote.
  std::vector<std::string> Output(
      const std::string& script,
      const std::function<void(cri::ContainerConfig&)>& change = {},
      const std::function<void(cri::PodSandboxConfig&)>& change_pod = {}) {
    const std::string name = "f" + std::to_string(serial_++);
    auto pod_config = bed_.PodConfig(name);
    if (change_pod) change_pod(pod_config);
    const std::string pod = bed_.RunPod(pod_config);
    auto config = bed_.ContainerConfig("app", {"sh", "-c", script});
    if (change) change(config);
    const std::string id = bed_.RunContainer(pod, pod_config, config);
    if (id.empty()) return {};
    const auto status = bed_.AwaitExit(id);
    EXPECT_EQ(status.exit_code(), 0) << status.message();
    return bed_.LogLines(name, "app");
  }

  static cri::LinuxContainerSecurityContext* Security(
      cri::ContainerConfig& config) {
    return config.mutable_linux()->mutable_security_context();
  }

  DaemonBed bed_;
  int serial_ = 0;
};

using Lines = std::vector<std::string>;

// A mount of a test's own on a scratch directory, with a propagation.
class ScratchMount {
 public:
  ScratchMount(const std::string& path, unsigned long propagation)
      : path_(path) {
    std::filesystem::create_directories(path_);
    EXPECT_EQ(mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=64k"), 0);
    EXPECT_EQ(mount(nullptr, path_.c_str(), nullptr, propagation, nullptr), 0);
  }
  ~ScratchMount() { EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0); }

 private:
  const std::string path_;
};

// Nothing would ever propagate from or to a private mount: the pod's author
// is to know, not to wonder.
TEST_F(FieldsTest, PropagationNeedsASharedMount) {
  const std::string path = bed_.dir() + "/volume";
  const auto pod_config = bed_.PodConfig("propagation");
  const std::string pod = bed_.RunPod(pod_config);
  const auto create = [&](cri::MountPropagation propagation) {
    cri::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod);
    *request.mutable_config() =
        bed_.ContainerConfig("p" + std::to_string(serial_++), {"sleep", "9"});
    auto* volume = request.mutable_config()->add_mounts();
    volume->set_host_path(path);
    volume->set_container_path("/data");
    volume->set_propagation(propagation);
    cri::CreateContainerResponse response;
    return bed_.client().Call(request, &response);
  };
  {
    const ScratchMount closed(path, MS_PRIVATE);
    for (const auto propagation :
         {cri::PROPAGATION_BIDIRECTIONAL, cri::PROPAGATION_HOST_TO_CONTAINER}) {
      const absl::Status status = create(propagation);
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
      EXPECT_NE(std::string(status.message()).find(path), std::string::npos)
          << status;
    }
    EXPECT_TRUE(create(cri::PROPAGATION_PRIVATE).ok());
  }
  const ScratchMount shared(path, MS_SHARED);
  EXPECT_TRUE(create(cri::PROPAGATION_BIDIRECTIONAL).ok());
  EXPECT_TRUE(create(cri::PROPAGATION_HOST_TO_CONTAINER).ok());
}

TEST_F(FieldsTest, ProcessSettings) {
  EXPECT_EQ(Output("pwd; echo $WHO; echo $HOSTNAME; read c </proc/1/comm; "
                   "echo $c",
                   [](auto& c) {
                     c.set_working_dir("/made/for/it");
                     auto* env = c.add_envs();
                     env->set_key("WHO");
                     env->set_value("me");
                   }),
            (Lines{"/made/for/it", "me", "f0", "sh"}));
}

TEST_F(FieldsTest, Users) {
  EXPECT_EQ(Output("id -u; id -g; id -G",
                   [](auto& c) {
                     Security(c)->mutable_run_as_user()->set_value(1234);
                     Security(c)->mutable_run_as_group()->set_value(2345);
                     Security(c)->add_supplemental_groups(3456);
                   }),
            (Lines{"1234", "2345", "2345 3456"}));
  EXPECT_EQ(Output("id -un",
                   [](auto& c) { Security(c)->set_run_as_username("nobody"); }),
            Lines{"nobody"});
}

TEST_F(FieldsTest, CapabilitiesAndNoNewPrivileges) {
  const auto caps = Output(
      "grep -E 'Cap(Inh|Eff)|NoNewPrivs' /proc/self/status | tr -d '\\t'",
      [](auto& c) {
        Security(c)->mutable_capabilities()->add_drop_capabilities("ALL");
        Security(c)->mutable_capabilities()->add_add_capabilities(
            "NET_BIND_SERVICE");
        Security(c)->set_no_new_privs(true);
      });
  EXPECT_EQ(caps, (Lines{"CapInh:0000000000000000", "CapEff:0000000000000400",
                         "NoNewPrivs:1"}));
}

TEST_F(FieldsTest, RootFilesystem) {
  EXPECT_EQ(Output("touch /x 2>/dev/null || echo read-only; touch /tmp/y "
                   "2>/dev/null || echo too",
                   [](auto& c) { Security(c)->set_readonly_rootfs(true); }),
            (Lines{"read-only", "too"}));
  EXPECT_EQ(Output("touch /x && echo writable"), Lines{"writable"});
}

TEST_F(FieldsTest, Mounts) {
  const std::string dir = bed_.dir() + "/volume";
  std::filesystem::create_directories(dir);
  std::ofstream(dir + "/file") << "content\n";
  EXPECT_EQ(Output("cat /v/file; touch /v/new; touch /ro/new 2>/dev/null || "
                   "echo ro; cat /single",
                   [&dir](auto& c) {
                     auto* rw = c.add_mounts();
                     rw->set_host_path(dir);
                     rw->set_container_path("/v");
                     auto* ro = c.add_mounts();
                     ro->set_host_path(dir);
                     ro->set_container_path("/ro");
                     ro->set_readonly(true);
                     auto* file = c.add_mounts();
                     file->set_host_path(dir + "/file");
                     file->set_container_path("/single");
                   }),
            (Lines{"content", "ro", "content"}));
  EXPECT_TRUE(std::filesystem::exists(dir + "/new"));
}

// The kubelet hands volumes on in the order in which the pod's author wrote
// them.
TEST_F(FieldsTest, AMountWithinAnotherIsNotCoveredByIt) {
  const std::string outer = bed_.dir() + "/outer";
  const std::string inner = bed_.dir() + "/inner";
  std::filesystem::create_directories(outer + "/in");
  std::filesystem::create_directories(inner);
  std::ofstream(outer + "/file") << "outer\n";
  std::ofstream(inner + "/file") << "inner\n";
  EXPECT_EQ(Output("cat /o/file /o/in/file",
                   [&](auto& c) {
                     auto* first = c.add_mounts();
                     first->set_host_path(inner);
                     first->set_container_path("/o/in");
                     auto* second = c.add_mounts();
                     second->set_host_path(outer);
                     second->set_container_path("/o");
                   }),
            (Lines{"outer", "inner"}));
}

TEST_F(FieldsTest, MaskedAndReadonlyPaths) {
  EXPECT_EQ(
      Output("cat /proc/keys | wc -c; ls /proc/acpi 2>/dev/null | wc -l; "
             "(echo 1 > /proc/sys/net/ipv4/ip_forward) 2>/dev/null || echo ro",
             [](auto& c) {
               Security(c)->add_masked_paths("/proc/keys");
               Security(c)->add_masked_paths("/proc/acpi");
               Security(c)->add_masked_paths("/absent");
               Security(c)->add_readonly_paths("/proc/sys");
             }),
      (Lines{"0", "0", "ro"}));
}

TEST_F(FieldsTest, Seccomp) {
  const std::string script =
      "grep Seccomp: /proc/self/status | tr -d '\\t'; "
      "mount -t tmpfs none /tmp 2>/dev/null || echo refused";
  EXPECT_EQ(Output(script,
                   [](auto& c) {
                     Security(c)->mutable_seccomp()->set_profile_type(
                         cri::SecurityProfile::RuntimeDefault);
                   }),
            (Lines{"Seccomp:2", "refused"}));
  EXPECT_EQ(
      Output(
          script, [](auto& c) { Security(c)->set_privileged(true); },
          [](auto& pod) {
            pod.mutable_linux()->mutable_security_context()->set_privileged(
                true);
          }),
      (Lines{"Seccomp:0"}));
}

// Refused where the kernel has no AppArmor; else the profile is missing.
TEST_F(FieldsTest, AnAppArmorProfileThatCannotBeHad) {
  std::string enabled;
  std::ifstream("/sys/module/apparmor/parameters/enabled") >> enabled;
  const auto pod_config = bed_.PodConfig("armour");
  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(bed_.RunPod(pod_config));
  *request.mutable_sandbox_config() = pod_config;
  auto config = bed_.ContainerConfig("app", {"true"});
  auto* profile = Security(config)->mutable_apparmor();
  profile->set_profile_type(cri::SecurityProfile::Localhost);
  profile->set_localhost_ref("pn-no-such-profile");
  *request.mutable_config() = config;
  cri::CreateContainerResponse created;
  const absl::Status status = bed_.client().Call(request, &created);
  if (enabled != "Y") {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(status.message(),
              "AppArmor profile pn-no-such-profile: this node's kernel has no "
              "AppArmor");
    return;
  }
  ASSERT_TRUE(status.ok()) << status;
  cri::StartContainerRequest start;
  start.set_container_id(created.container_id());
  cri::StartContainerResponse started;
  EXPECT_EQ(bed_.client().Call(start, &started).message(),
            "set AppArmor profile pn-no-such-profile: ENOENT");
}

TEST_F(FieldsTest, HostnameDnsAndSysctls) {
  EXPECT_EQ(
      Output("hostname; cat /etc/hostname; grep -E 'nameserver|search' "
             "/etc/resolv.conf; cat /proc/sys/net/ipv4/ip_unprivileged_port_"
             "start",
             {},
             [](auto& pod) {
               (*pod.mutable_linux()->mutable_sysctls())
                   ["net.ipv4.ip_unprivileged_port_"
                    "start"] = "80";
             }),
      (Lines{"f0", "f0", "search test.svc.cluster.local",
             "nameserver 10.96.0.10", "80"}));
}

TEST_F(FieldsTest, ASharedPidNamespaceHasAReapingInit) {
  const auto pod_pid = [](auto& namespaces) { namespaces.set_pid(cri::POD); };
  const auto lines = Output(
      "echo $$; cat /proc/1/comm; (sleep 0.01 &); sleep 0.2; "
      "grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l",
      [&](auto& c) { pod_pid(*Security(c)->mutable_namespace_options()); },
      [&](auto& pod) {
        pod_pid(*pod.mutable_linux()
                     ->mutable_security_context()
                     ->mutable_namespace_options());
      });
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_NE(lines[0], "1");
  EXPECT_EQ(lines[1], "pinion-init");
  EXPECT_EQ(lines[2], "0") << "zombies";
}

TEST_F(FieldsTest, HostNamespaces) {
  char own[64] = {};
  ASSERT_GT(readlink("/proc/self/ns/net", own, sizeof(own) - 1), 0);
  const auto lines = Output(
      "readlink /proc/self/ns/net",
      [](auto& c) {
        Security(c)->mutable_namespace_options()->set_network(cri::NODE);
      },
      [](auto& pod) {
        pod.clear_hostname();
        pod.mutable_linux()
            ->mutable_security_context()
            ->mutable_namespace_options()
            ->set_network(cri::NODE);
      });
  EXPECT_EQ(lines, Lines{own});
}

TEST_F(FieldsTest, Devices) {
  EXPECT_EQ(Output("stat -c '%F %t:%T' /dev/mine /dev/null; ls -l /dev/fd | "
                   "sed 's/.*-> //'; test -w /dev/shm && echo shm",
                   [](auto& c) {
                     auto* device = c.add_devices();
                     device->set_host_path("/dev/zero");
                     device->set_container_path("/dev/mine");
                     device->set_permissions("rw");
                   }),
            (Lines{"character special file 1:5", "character special file 1:3",
                   "/proc/self/fd", "shm"}));
}

TEST_F(FieldsTest, ATerminal) {
  const auto lines = Output("tty; test -t 1 && echo yes; stty size",
                            [](auto& c) { c.set_tty(true); });
  ASSERT_GE(lines.size(), 2U);
  EXPECT_EQ(lines[0].substr(0, 9), "/dev/pts/");
  EXPECT_EQ(lines[1].substr(0, 3), "yes");
}

TEST_F(FieldsTest, NoDescriptorLeaks) {
  EXPECT_EQ(Output("ls /proc/self/fd | tr '\\n' ' '"), Lines{"0 1 2 3 "})
      << "3 is ls's own directory";
}

TEST_F(FieldsTest, ContainersOfAPodShareIpcAndShm) {
  const auto config = bed_.PodConfig("shared");
  const std::string pod = bed_.RunPod(config);
  const std::string one = bed_.RunContainer(
      pod, config, bed_.ContainerConfig("one", {"sleep", "1000"}));
  const std::string two = bed_.RunContainer(
      pod, config, bed_.ContainerConfig("two", {"sleep", "1000"}));
  bed_.Exec(one, {"sh", "-c", "echo shared > /dev/shm/note"});
  EXPECT_EQ(bed_.Exec(two, {"cat", "/dev/shm/note"}).stdout(), "shared\n");
  for (const char* space : {"ipc", "net", "uts"}) {
    const std::vector<std::string> command = {
        "readlink", std::string("/proc/self/ns/") + space};
    EXPECT_EQ(bed_.Exec(one, command).stdout(),
              bed_.Exec(two, command).stdout());
  }
}

TEST_F(FieldsTest, ImageVolumes) {
  const auto image = [](auto& c, const std::string& path,
                        const std::string& sub_path) {
    cri::Mount* mount = c.add_mounts();
    mount->set_container_path(path);
    mount->mutable_image()->set_image(DaemonBed::kImage);
    mount->set_image_sub_path(sub_path);
  };
  const auto lines = Output(
      "ls -d /image/bin; test -e /sub/busybox && echo sub; "
      "touch /image/x 2>/dev/null || echo readonly; "
      "/image/bin/busybox true 2>/dev/null || echo noexec",
      [&image](auto& c) {
        image(c, "/image", "");
        image(c, "/sub", "bin");
      });
  EXPECT_EQ(lines, (Lines{"/image/bin", "sub", "readonly", "noexec"}));
}

TEST_F(FieldsTest, ImageVolumesThatFailSaySo) {
  const auto pod_config = bed_.PodConfig("volumes");
  const std::string pod = bed_.RunPod(pod_config);
  const auto refusal = [&](const std::string& image, const std::string& path) {
    cri::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod);
    *request.mutable_config() = bed_.ContainerConfig("app", {"true"});
    cri::Mount* mount = request.mutable_config()->add_mounts();
    mount->set_container_path("/image");
    mount->mutable_image()->set_image(image);
    mount->set_image_sub_path(path);
    cri::CreateContainerResponse response;
    return bed_.client().Call(request, &response).ToString();
  };
  EXPECT_EQ(refusal(DaemonBed::kImage, "nope")
                .find("INVALID_ARGUMENT: ImageVolumeMountFailed: "),
            0u);
  EXPECT_EQ(refusal("example.com/none:1", "")
                .find("NOT_FOUND: ImageVolumeMountFailed"),
            0u);
}

}  // namespace
}  // namespace pinion::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  pinion::testing::DaemonBed::EnterTestHost();
  return RUN_ALL_TESTS();
}
