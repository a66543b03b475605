// What a container sees of what was asked for.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/integration/daemon/one_container_test.h"
#include "tests/support/eventually.h"

namespace pinion::testing {
namespace {

namespace cri = runtime::v1;

using FieldsTest = OneContainerTest;

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

TEST_F(FieldsTest, AmbientCapabilitiesOfAnOrdinaryUser) {
  EXPECT_EQ(Output("grep -E 'Cap(Eff|Amb)' /proc/self/status | tr -d '\\t'",
                   [](auto& c) {
                     Security(c)->mutable_run_as_user()->set_value(1234);
                     auto* caps = Security(c)->mutable_capabilities();
                     caps->add_add_capabilities("NET_ADMIN");
                     caps->add_add_ambient_capabilities("CAP_NET_ADMIN");
                   }),
            (Lines{"CapEff:0000000000001000", "CapAmb:0000000000001000"}));
}

TEST_F(FieldsTest, OomScoreAdj) {
  EXPECT_EQ(
      Output("cat /proc/self/oom_score_adj",
             [](auto& c) {
               c.mutable_linux()->mutable_resources()->set_oom_score_adj(789);
             }),
      Lines{"789"});
}

TEST_F(FieldsTest, RootFilesystem) {
  EXPECT_EQ(Output("touch /x 2>/dev/null || echo read-only; touch /tmp/y "
                   "2>/dev/null || echo too",
                   [](auto& c) { Security(c)->set_readonly_rootfs(true); }),
            (Lines{"read-only", "too"}));
  EXPECT_EQ(Output("touch /x && echo writable"), Lines{"writable"});
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
  // As with ProcMount "Unmasked": the request's lists count, not defaults.
  EXPECT_EQ(Output("grep -c ' /proc/' /proc/self/mountinfo || true"),
            Lines{"0"});
}

// A profile is read at create and counts for execs, too.
TEST_F(FieldsTest, ALocalhostSeccompProfile) {
  const std::string path = bed_.dir() + "/profile.json";
  std::ofstream(path) << R"({"defaultAction": "SCMP_ACT_ALLOW",
      "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [
      {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO",
       "errnoRet": 28}]})";
  const auto pod_config = bed_.PodConfig("seccomp");
  const std::string pod = bed_.RunPod(pod_config);
  auto config = bed_.ContainerConfig(
      "app", {"sh", "-c", "mkdir /x 2>&1; exec sleep 1000"});
  auto* profile = Security(config)->mutable_seccomp();
  profile->set_profile_type(cri::SecurityProfile::Localhost);
  profile->set_localhost_ref("localhost/" + path);
  const std::string id = bed_.Create(pod, pod_config, config);
  std::filesystem::remove(path);
  bed_.StartContainer(id);
  EXPECT_NE(bed_.Exec(id, {"mkdir", "/y"}).stderr().find("No space left"),
            std::string::npos);
  EXPECT_TRUE(testing_support::Eventually(
      [this] { return !bed_.LogLines("seccomp", "app").empty(); }));
  EXPECT_EQ(bed_.LogLines("seccomp", "app"),
            Lines{"mkdir: can't create directory '/x': No space left on "
                  "device"});

  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod);
  config.mutable_metadata()->set_name("other");
  *request.mutable_config() = config;
  cri::CreateContainerResponse response;
  const absl::Status status = bed_.client().Call(request, &response);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(std::string(status.message()).find(path), std::string::npos);
}

// Those would be the node's.
TEST_F(FieldsTest, SysctlsOfTheNodesNamespacesAreRefused) {
  const auto run = [this](const char* name, const char* value, bool network) {
    cri::RunPodSandboxRequest request;
    *request.mutable_config() = bed_.PodConfig("node");
    auto* linux = request.mutable_config()->mutable_linux();
    (*linux->mutable_sysctls())[name] = value;
    auto* options =
        linux->mutable_security_context()->mutable_namespace_options();
    (network ? options->set_network(cri::NODE) : options->set_ipc(cri::NODE));
    cri::RunPodSandboxResponse response;
    return bed_.client().Call(request, &response);
  };
  EXPECT_TRUE(absl::IsInvalidArgument(
      run("net.ipv4.ip_unprivileged_port_start", "1", true)));
  EXPECT_TRUE(
      absl::IsInvalidArgument(run("kernel.shm_rmid_forced", "1", false)));
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

// Where the kernel has no AppArmor every profile is; else none is of this name.
TEST_F(FieldsTest, AnAppArmorProfileThatCannotBeHad) {
  std::string enabled;
  std::ifstream("/sys/module/apparmor/parameters/enabled") >> enabled;
  const auto pod_config = bed_.PodConfig("armour");
  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(bed_.RunPod(pod_config));
  *request.mutable_sandbox_config() = pod_config;
  *request.mutable_config() = bed_.ContainerConfig("app", {"true"});
  auto* profile = Security(*request.mutable_config())->mutable_apparmor();
  profile->set_profile_type(cri::SecurityProfile::Localhost);
  profile->set_localhost_ref("pn-no-such-profile");
  cri::CreateContainerResponse created;
  const absl::Status status = bed_.client().Call(request, &created);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(
      status.message(),
      absl::StrCat("AppArmor profile pn-no-such-profile: ",
                   enabled == "Y" ? "not loaded on this node "
                                    "(apparmor_parser loads profiles)"
                                  : "this node's kernel has no AppArmor"));
  profile->set_profile_type(cri::SecurityProfile::RuntimeDefault);
  profile->clear_localhost_ref();
  EXPECT_EQ(bed_.client().Call(request, &created).ok(), enabled == "Y");
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
  // An orphan that nobody reaps stays in /proc, and the script does not end.
  const auto lines = Output(
      "echo $$; cat /proc/1/comm; orphan=$(sleep 0.1 >/dev/null & echo $!); "
      "while [ -e /proc/$orphan ]; do sleep 0.02; done; echo reaped $orphan",
      [&](auto& c) { pod_pid(*Security(c)->mutable_namespace_options()); },
      [&](auto& pod) {
        pod_pid(*pod.mutable_linux()
                     ->mutable_security_context()
                     ->mutable_namespace_options());
      });
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_NE(lines[0], "1");
  EXPECT_EQ(lines[1], "pinion-init");
  EXPECT_EQ(lines[2].rfind("reaped ", 0), 0U) << lines[2];
  EXPECT_GT(lines[2].size(), sizeof("reaped ") - 1) << "of no process";
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

}  // namespace
}  // namespace pinion::testing
