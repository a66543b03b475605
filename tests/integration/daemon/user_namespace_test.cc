// Pods with a user namespace of their own, through the CRI.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>

#include "tests/integration/daemon/scratch_mount.h"
#include "tests/support/daemon_bed.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

using ::testing::HasSubstr;

constexpr uint32_t kFirst = 131072;
constexpr uint32_t kLength = 65536;

void Map(google::protobuf::RepeatedPtrField<cri::IDMapping>* mappings) {
  cri::IDMapping* mapping = mappings->Add();
  mapping->set_host_id(kFirst);
  mapping->set_length(kLength);
}

void Map(cri::NamespaceOption* options) {
  cri::UserNamespace* userns = options->mutable_userns_options();
  userns->set_mode(cri::POD);
  Map(userns->mutable_uids());
  Map(userns->mutable_gids());
}

class UserNamespaceTest : public ::testing::Test {
 protected:
  using PodChange = std::function<void(cri::NamespaceOption&)>;
  using ContainerChange = std::function<void(cri::ContainerConfig&)>;

  cri::PodSandboxConfig Pod(const std::string& name,
                            const PodChange& change = {}) {
    auto config = bed_.PodConfig(name);
    auto* options = config.mutable_linux()
                        ->mutable_security_context()
                        ->mutable_namespace_options();
    Map(options);
    if (change) change(*options);
    return config;
  }

  std::vector<std::string> Output(const std::string& script,
                                  const ContainerChange& change = {},
                                  const PodChange& change_pod = {}) {
    const std::string name = "u" + std::to_string(serial_++);
    const auto pod_config = Pod(name, change_pod);
    const std::string pod = bed_.RunPod(pod_config);
    auto config = Config(script);
    const auto& options =
        pod_config.linux().security_context().namespace_options();
    auto* own = config.mutable_linux()
                    ->mutable_security_context()
                    ->mutable_namespace_options();
    own->set_network(options.network());
    own->set_pid(options.pid());
    if (change) change(config);
    const std::string id = bed_.RunContainer(pod, pod_config, config);
    if (id.empty()) return {};
    const auto status = bed_.AwaitExit(id);
    EXPECT_EQ(status.exit_code(), 0) << status.message();
    return bed_.LogLines(name, "app");
  }

  cri::ContainerConfig Config(const std::string& script) {
    auto config = bed_.ContainerConfig("app", {"sh", "-c", script});
    Map(config.mutable_linux()
            ->mutable_security_context()
            ->mutable_namespace_options());
    return config;
  }

  absl::Status Refusal(const ContainerChange& change) {
    const auto pod_config = Pod("r" + std::to_string(serial_++));
    const std::string pod = bed_.RunPod(pod_config);
    cri::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod);
    *request.mutable_config() = Config("true");
    change(*request.mutable_config());
    cri::CreateContainerResponse response;
    return bed_.client().Call(request, &response);
  }

  // The container's first process on the host, from the verbose status.
  int64_t InitPid(const std::string& id) {
    cri::ContainerStatusRequest request;
    request.set_container_id(id);
    request.set_verbose(true);
    cri::ContainerStatusResponse response;
    EXPECT_TRUE(bed_.client().Call(request, &response).ok());
    const std::string& info = response.info().at("info");
    const size_t at = info.find("\"pid\":");
    EXPECT_NE(at, std::string::npos) << info;
    return std::atoi(info.c_str() + at + 6);
  }

  DaemonBed bed_;
  int serial_ = 0;
};

using Lines = std::vector<std::string>;

constexpr char kWhose[] =
    "stat -c %u /bin/sh /etc/hosts; echo x >> /etc/hosts && echo written; "
    "tr -s ' ' < /proc/self/uid_map";

TEST_F(UserNamespaceTest, StatusTellsTheKubelet) {
  cri::StatusResponse response;
  ASSERT_TRUE(bed_.client().Call(cri::StatusRequest(), &response).ok());
  EXPECT_TRUE(response.runtime_handlers(0).features().user_namespaces());
  EXPECT_TRUE(response.features().user_namespaces_host_network());
}

TEST_F(UserNamespaceTest, RootIsMapped) {
  const Lines want = {"0", "0", "written", " 0 131072 65536"};
  EXPECT_EQ(Output(kWhose), want);
  // With the pod's shared PID namespace, and with one of its own.
  for (const auto mode : {cri::POD, cri::CONTAINER}) {
    EXPECT_EQ(Output(kWhose, {}, [mode](auto& o) { o.set_pid(mode); }), want);
  }
}

TEST_F(UserNamespaceTest, WithTheHostsNetwork) {
  EXPECT_EQ(Output("tr -s ' ' < /proc/self/uid_map; ls -d /sys/class/net/lo; "
                   "touch /sys/x 2>/dev/null || echo readonly",
                   {}, [](auto& o) { o.set_network(cri::NODE); }),
            (Lines{" 0 131072 65536", "/sys/class/net/lo", "readonly"}));
}

TEST_F(UserNamespaceTest, TheNetworkIsThePodsOwn) {
  EXPECT_EQ(Output("ip link set lo mtu 1400 && cat /sys/class/net/lo/mtu; "
                   "echo 7 > /proc/sys/net/ipv4/ip_default_ttl; "
                   "cat /proc/sys/net/ipv4/ip_default_ttl",
                   [](auto& c) {
                     auto* security =
                         c.mutable_linux()->mutable_security_context();
                     security->mutable_capabilities()->add_add_capabilities(
                         "NET_ADMIN");
                     security->clear_readonly_paths();
                   }),
            (Lines{"1400", "7"}));
}

TEST_F(UserNamespaceTest, IpcSysctls) {
  auto config = Pod("sysctls");
  (*config.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] = "1";
  const std::string pod = bed_.RunPod(config);
  const std::string id = bed_.RunContainer(
      pod, config, Config("cat /proc/sys/kernel/shm_rmid_forced"));
  EXPECT_EQ(bed_.AwaitExit(id).exit_code(), 0);
  EXPECT_EQ(bed_.LogLines("sysctls", "app"), Lines{"1"});
}

TEST_F(UserNamespaceTest, VolumesAndTheirStatus) {
  const std::string volume = bed_.dir() + "/volume";
  std::filesystem::create_directory(volume);
  const auto pod_config = Pod("volumes");
  const std::string pod = bed_.RunPod(pod_config);
  auto config = Config("echo hi > /volume/file && stat -c %u /volume/file");
  cri::Mount* mount = config.add_mounts();
  mount->set_host_path(volume);
  mount->set_container_path("/volume");
  Map(mount->mutable_uidmappings());
  Map(mount->mutable_gidmappings());
  const std::string id = bed_.RunContainer(pod, pod_config, config);
  const auto status = bed_.AwaitExit(id);
  EXPECT_EQ(status.exit_code(), 0) << status.message();
  EXPECT_EQ(bed_.LogLines("volumes", "app"), Lines{"0"});
  struct stat st = {};
  ASSERT_EQ(stat((volume + "/file").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 0u);
  ASSERT_EQ(status.mounts_size(), 1);
  EXPECT_EQ(status.mounts(0).uidmappings(0).host_id(), kFirst);
  const auto options =
      bed_.PodStatus(pod).linux().namespaces().options().userns_options();
  EXPECT_EQ(options.mode(), cri::POD);
  EXPECT_EQ(options.gids(0).length(), kLength);
}

// With what is mounted within, which the plain kind leaves as it is.
TEST_F(UserNamespaceTest, RecursiveReadOnlyVolumesAreMappedToo) {
  const std::string volume = bed_.dir() + "/volume";
  const ScratchMount inner(volume + "/inner", MS_PRIVATE);
  std::ofstream(volume + "/inner/file") << "x";
  EXPECT_EQ(Output("stat -c %u /volume/inner/file; touch /volume/inner/file "
                   "2>/dev/null || echo read-only",
                   [&volume](auto& c) {
                     cri::Mount* mount = c.add_mounts();
                     mount->set_host_path(volume);
                     mount->set_container_path("/volume");
                     mount->set_readonly(true);
                     mount->set_recursive_read_only(true);
                     Map(mount->mutable_uidmappings());
                     Map(mount->mutable_gidmappings());
                   }),
            (Lines{"0", "read-only"}));
}

TEST_F(UserNamespaceTest, ExecIsInsideToo) {
  const auto pod_config = Pod("exec");
  const std::string pod = bed_.RunPod(pod_config);
  const std::string id =
      bed_.RunContainer(pod, pod_config, Config("sleep 1000"));
  const auto answer =
      bed_.Exec(id, {"sh", "-c", "id -u; tr -s ' ' < /proc/self/gid_map"});
  EXPECT_EQ(answer.stdout(), "0\n 0 131072 65536\n");
}

// The second word of a line of a process's status on the host.
std::string OnTheHost(int64_t pid, const std::string& key) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind(key + ":\t", 0) != 0) continue;
    return line.substr(key.size() + 2,
                       line.find('\t', key.size() + 2) - key.size() - 2);
  }
  return "";
}

TEST_F(UserNamespaceTest, AUserOfItsOwn) {
  const auto pod_config = Pod("user");
  const std::string pod = bed_.RunPod(pod_config);
  auto config = Config("sleep 1000");
  auto* security = config.mutable_linux()->mutable_security_context();
  security->mutable_run_as_user()->set_value(1000);
  security->mutable_run_as_group()->set_value(2000);
  security->add_supplemental_groups(3000);
  const std::string id = bed_.RunContainer(pod, pod_config, config);
  EXPECT_EQ(
      bed_.Exec(id, {"sh", "-c", "id -u; id -G; echo > /dev/stderr"}).stdout(),
      "1000\n2000 3000\n");
  const auto status = bed_.Status(id);
  EXPECT_EQ(status.user().linux().uid(), 1000);
  EXPECT_EQ(status.user().linux().gid(), 2000);
  const int64_t pid = InitPid(id);
  EXPECT_EQ(OnTheHost(pid, "Uid"), std::to_string(kFirst + 1000));
  EXPECT_EQ(OnTheHost(pid, "Gid"), std::to_string(kFirst + 2000));
}

TEST_F(UserNamespaceTest, AreKeptByARestart) {
  for (const auto network : {cri::POD, cri::NODE}) {
    const std::string name = "restart" + std::to_string(network);
    const auto pod_config =
        Pod(name, [network](auto& o) { o.set_network(network); });
    const std::string pod = bed_.RunPod(pod_config);
    auto config =
        Config("mkfifo /gate; echo up; read line < /gate; echo $line");
    config.mutable_linux()
        ->mutable_security_context()
        ->mutable_namespace_options()
        ->set_network(network);
    const std::string id = bed_.RunContainer(pod, pod_config, config);
    bed_.AwaitLog(name, "app");  // the gate is there
    bed_.Kill();
    bed_.Start();
    const auto options =
        bed_.PodStatus(pod).linux().namespaces().options().userns_options();
    EXPECT_EQ(options.mode(), cri::POD);
    EXPECT_EQ(options.uids(0).host_id(), kFirst);
    EXPECT_EQ(
        bed_.Exec(id, {"sh", "-c", "tr -s ' ' < /proc/self/uid_map"}).stdout(),
        " 0 131072 65536\n");
    // A second container comes into the same namespaces.
    auto more = config;
    more.mutable_metadata()->set_name("more");
    more.set_log_path("more.log");
    more.set_command(2, "readlink /proc/self/ns/user");
    const std::string second = bed_.RunContainer(pod, pod_config, more);
    EXPECT_EQ(bed_.AwaitExit(second).exit_code(), 0);
    EXPECT_EQ(bed_.LogLines(name, "more").at(0) + "\n",
              bed_.Exec(id, {"readlink", "/proc/self/ns/user"}).stdout());
    // And the first one's log goes on.
    bed_.Exec(id, {"sh", "-c", "echo down > /gate"});
    EXPECT_EQ(bed_.AwaitExit(id).exit_code(), 0);
    EXPECT_EQ(bed_.LogLines(name, "app"), (Lines{"up", "down"}));
  }
}

TEST_F(UserNamespaceTest, Statistics) {
  const auto pod_config = Pod("stats");
  const std::string pod = bed_.RunPod(pod_config);
  const std::string id = bed_.RunContainer(
      pod, pod_config,
      Config("head -c 300000 /dev/zero > /file; echo up; sleep 1000"));
  bed_.AwaitLog("stats", "app");
  cri::ContainerStatsRequest request;
  request.set_container_id(id);
  cri::ContainerStatsResponse response;
  const absl::Status status = bed_.client().Call(request, &response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_GE(response.stats().writable_layer().used_bytes().value(), 300000u);
  EXPECT_GT(response.stats().cpu().usage_core_nano_seconds().value(), 0u);
}

TEST_F(UserNamespaceTest, ImageVolumesAreMappedToo) {
  EXPECT_EQ(Output("stat -c %u /image/bin/sh; touch /image/x 2>/dev/null || "
                   "echo read-only",
                   [](auto& c) {
                     cri::Mount* mount = c.add_mounts();
                     mount->set_container_path("/image");
                     mount->mutable_image()->set_image(DaemonBed::kImage);
                   }),
            (Lines{"0", "read-only"}));
}

TEST_F(UserNamespaceTest, ATargetsPidNamespaceIsShared) {
  const auto pod_config = Pod("target");
  const std::string pod = bed_.RunPod(pod_config);
  // Itself, not by a shell that may not have come so far.
  auto sleeper = Config("");
  sleeper.clear_command();
  for (const char* word : {"sleep", "4242"}) sleeper.add_command(word);
  const std::string target = bed_.RunContainer(pod, pod_config, sleeper);
  auto config = Config("tr '\\0' ' ' < /proc/1/cmdline; readlink /proc/1/cwd");
  config.mutable_metadata()->set_name("debug");
  config.set_log_path("debug.log");
  auto* options = config.mutable_linux()
                      ->mutable_security_context()
                      ->mutable_namespace_options();
  options->set_pid(cri::TARGET);
  options->set_target_id(target);
  const std::string debug = bed_.RunContainer(pod, pod_config, config);
  EXPECT_EQ(bed_.AwaitExit(debug).exit_code(), 0);
  EXPECT_EQ(bed_.LogLines("target", "debug"), Lines{"sleep 4242 /"});
}

TEST_F(UserNamespaceTest, PrivilegedOnlyInside) {
  auto pod_config = Pod("privileged");
  pod_config.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string pod = bed_.RunPod(pod_config);
  auto config = Config(
      "mount -t tmpfs none /proc && echo mounted; "
      "mknod /tmp/null c 1 3 2>/dev/null || echo refused; ls /dev | wc -l");
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string id = bed_.RunContainer(pod, pod_config, config);
  EXPECT_EQ(bed_.AwaitExit(id).exit_code(), 0);
  const Lines lines = bed_.LogLines("privileged", "app");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "mounted");
  EXPECT_EQ(lines[1], "refused");
  EXPECT_LT(std::stoi(lines[2]), 20);
}

TEST_F(UserNamespaceTest, WhatDoesNotFitIsRefused) {
  EXPECT_THAT(Refusal([](auto& c) {
                c.mutable_linux()
                    ->mutable_security_context()
                    ->mutable_run_as_user()
                    ->set_value(kLength);
              }).message(),
              HasSubstr("uid 65536 is not mapped"));
  EXPECT_THAT(Refusal([](auto& c) {
                cri::Mount* mount = c.add_mounts();
                mount->set_host_path("/tmp");
                mount->set_container_path("/x");
                mount->add_uidmappings()->set_length(5);
              }).message(),
              HasSubstr("must be those of the sandbox's user namespace"));
  EXPECT_THAT(Refusal([](auto& c) {
                c.mutable_linux()
                    ->mutable_security_context()
                    ->mutable_namespace_options()
                    ->mutable_userns_options()
                    ->mutable_uids(0)
                    ->set_host_id(5);
              }).message(),
              HasSubstr("userns_options must be those of the sandbox"));
  cri::RunPodSandboxRequest request;
  *request.mutable_config() =
      Pod("host-pid", [](auto& o) { o.set_pid(cri::NODE); });
  cri::RunPodSandboxResponse response;
  EXPECT_TRUE(absl::IsInvalidArgument(bed_.client().Call(request, &response)));
}

TEST_F(UserNamespaceTest, PropagationOfVolumes) {
  const std::string volume = bed_.dir() + "/volume";
  const ScratchMount shared(volume, MS_SHARED);
  std::filesystem::create_directory(volume + "/inner");
  auto pod_config = Pod("propagation");
  pod_config.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string pod = bed_.RunPod(pod_config);
  const auto run = [&](const std::string& name, cri::MountPropagation how) {
    auto config = Config("sleep 1000");
    config.mutable_metadata()->set_name(name);
    config.mutable_linux()->mutable_security_context()->set_privileged(true);
    cri::Mount* mount = config.add_mounts();
    mount->set_host_path(volume);
    mount->set_container_path("/volume");
    mount->set_propagation(how);
    return bed_.RunContainer(pod, pod_config, config);
  };
  const std::string slave = run("slave", cri::PROPAGATION_HOST_TO_CONTAINER);
  const std::string peer = run("peer", cri::PROPAGATION_BIDIRECTIONAL);
  const ScratchMount later(volume + "/later", MS_SHARED);
  std::ofstream(volume + "/later/file") << "x";
  const auto mount_inside = [&](const std::string& id) {
    EXPECT_EQ(bed_.Exec(id, {"ls", "/volume/later"}).stdout(), "file\n");
    const auto mounted = bed_.Exec(
        id, {"sh", "-c",
             "mount -t tmpfs none /volume/inner && echo > /volume/inner/file"});
    EXPECT_EQ(mounted.exit_code(), 0);
    return std::filesystem::exists(volume + "/inner/file");
  };
  EXPECT_FALSE(mount_inside(slave));
  EXPECT_TRUE(mount_inside(peer));
  EXPECT_EQ(umount2((volume + "/inner").c_str(), MNT_DETACH), 0);
}

// ramfs knows no mapped ids. What cannot be is not offered, and refused.
TEST_F(UserNamespaceTest, ANodeThatCannotMapIdsSaysSo) {
  bed_.Kill();
  auto ramfs = std::make_unique<ScratchMount>(bed_.root(), MS_PRIVATE, "ramfs");
  bed_.Start();
  cri::StatusResponse status;
  ASSERT_TRUE(bed_.client().Call(cri::StatusRequest(), &status).ok());
  EXPECT_FALSE(status.runtime_handlers(0).features().user_namespaces());
  EXPECT_FALSE(status.features().user_namespaces_host_network());
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = Pod("unmapped");
  cri::RunPodSandboxResponse response;
  const absl::Status refusal = bed_.client().Call(request, &response);
  EXPECT_TRUE(absl::IsFailedPrecondition(refusal)) << refusal;
  EXPECT_THAT(std::string(refusal.message()),
              HasSubstr("map the ids of " + bed_.root()));
  EXPECT_EQ(bed_.Terminate(), 0);
  ramfs.reset();
  bed_.Start();
}

}  // namespace
}  // namespace pinion::testing
