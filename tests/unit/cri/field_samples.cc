#include "tests/unit/cri/field_samples.h"

#include "absl/strings/str_cat.h"

namespace pinion::cri {
namespace {

// Wraps both requests of a sample in an outer message.
void Add(const std::string& message, SampleOf of, const std::string& around,
         const std::vector<FieldSample>& samples,
         std::vector<FieldSample>& all) {
  for (const FieldSample& sample : samples) {
    const auto wrap = [&around](const std::string& text) {
      return around.empty() ? text : absl::StrCat(around, " { ", text, " }");
    };
    all.push_back({absl::StrCat(message, ".", sample.field), of,
                   wrap(sample.without), wrap(sample.with)});
  }
}

FieldSample S(const std::string& field, const std::string& with,
              const std::string& without = "") {
  return {field, SampleOf::kPod, without, with};
}

void AddPod(std::vector<FieldSample>& all) {
  constexpr SampleOf kPod = SampleOf::kPod;
  Add("PodSandboxConfig", kPod, "",
      {S("metadata", "metadata { name: 'z' }"), S("hostname", "hostname: 'h'"),
       S("log_directory", "log_directory: '/l'"),
       S("dns_config", "dns_config {}"), S("port_mappings", "port_mappings {}"),
       S("labels", "labels { key: 'a' value: 'b' }"),
       S("annotations", "annotations { key: 'a' value: 'b' }"),
       S("linux", "linux { cgroup_parent: '/p' }"), S("windows", "windows {}")},
      all);
  Add("PodSandboxMetadata", kPod, "metadata",
      {S("name", "name: 'z'"), S("uid", "uid: 'z'"),
       S("namespace", "namespace: 'z'"), S("attempt", "attempt: 7")},
      all);
  Add("DNSConfig", kPod, "dns_config",
      {S("servers", "servers: '10.0.0.1'"), S("searches", "searches: 'a.b'"),
       S("options", "options: 'ndots:5'")},
      all);
  Add("PortMapping", kPod, "port_mappings",
      {S("protocol", "protocol: UDP"),
       S("container_port", "container_port: 80"),
       S("host_ip", "host_ip: '10.0.0.1'")},
      all);
  const std::string host =
      "linux { security_context { namespace_options { network: NODE } } } ";
  Add("PortMapping", kPod, "",
      {S("host_port",
         host + "port_mappings { container_port: 80 host_port: 81 }",
         host + "port_mappings { container_port: 80 }")},
      all);
  Add("LinuxPodSandboxConfig", kPod, "linux",
      {S("cgroup_parent", "cgroup_parent: '/p'"),
       S("security_context", "security_context { privileged: true }"),
       S("sysctls", "sysctls { key: 'net.a' value: '1' }"),
       S("overhead", "overhead { cpu_shares: 2 }"),
       S("resources", "resources { cpu_shares: 2 }")},
      all);
  Add("LinuxSandboxSecurityContext", kPod, "linux { security_context",
      {S("namespace_options", "namespace_options { pid: NODE } }", "}"),
       S("selinux_options", "selinux_options { level: 's0' } }", "}"),
       S("run_as_user", "run_as_user { value: 5 } }", "}"),
       S("run_as_group", "run_as_user { value: 5 } run_as_group { value: 5 } }",
         "run_as_user { value: 5 } }"),
       S("readonly_rootfs", "readonly_rootfs: true }", "}"),
       S("supplemental_groups", "supplemental_groups: 5 }", "}"),
       S("supplemental_groups_policy", "supplemental_groups_policy: Strict }",
         "}"),
       S("privileged", "privileged: true }", "}"),
       S("seccomp", "seccomp { profile_type: Unconfined } }", "}"),
       S("apparmor", "apparmor { profile_type: Unconfined } }", "}"),
       S("seccomp_profile_path", "seccomp_profile_path: 'unconfined' }", "}")},
      all);
}

void AddContainer(std::vector<FieldSample>& all) {
  constexpr SampleOf kContainer = SampleOf::kContainer;
  Add("ContainerConfig", kContainer, "",
      {S("metadata", "metadata { name: 'z' }"),
       S("image", "image { image: 'z' }"), S("command", "command: 'a'"),
       S("args", "args: 'a'"), S("working_dir", "working_dir: '/a'"),
       S("envs", "envs { key: 'a' }"),
       S("mounts", "mounts { container_path: '/a' host_path: '/b' }"),
       S("devices",
         "devices { container_path: '/a' host_path: '/b' permissions: 'r' }"),
       S("labels", "labels { key: 'a' value: 'b' }"),
       S("annotations", "annotations { key: 'a' value: 'b' }"),
       S("log_path", "log_path: 'a'"), S("stdin", "stdin: true"),
       S("stdin_once", "stdin_once: true"), S("tty", "tty: true"),
       S("linux", "linux { resources { cpu_shares: 2 } }"),
       S("windows", "windows {}"),
       S("CDI_devices", "CDI_devices { name: 'a.b/c=d' }"),
       S("stop_signal", "stop_signal: SIGNAL_SIGUSR1")},
      all);
  Add("ContainerMetadata", kContainer, "metadata",
      {S("name", "name: 'z'"), S("attempt", "attempt: 7")}, all);
  Add("ImageSpec", kContainer, "image",
      {S("image", "image: 'z'"),
       S("annotations", "annotations { key: 'a' value: 'b' }"),
       S("user_specified_image", "user_specified_image: 'z'"),
       S("runtime_handler", "runtime_handler: 'z'"),
       S("image_ref", "image_ref: 'z'")},
      all);
  Add("KeyValue", kContainer, "envs",
      {S("key", "key: 'b'", "key: 'a'"),
       S("value", "key: 'a' value: 'v'", "key: 'a'")},
      all);
  Add("CDIDevice", kContainer, "",
      {S("name", "CDI_devices { name: 'a.b/c=d' }", "")}, all);
  Add("Device", kContainer, "devices",
      {S("container_path",
         "container_path: '/z' host_path: '/b' permissions: 'r'",
         "container_path: '/a' host_path: '/b' permissions: 'r'"),
       S("host_path", "container_path: '/a' host_path: '/z' permissions: 'r'",
         "container_path: '/a' host_path: '/b' permissions: 'r'"),
       S("permissions", "container_path: '/a' host_path: '/b' permissions: 'w'",
         "container_path: '/a' host_path: '/b' permissions: 'r'")},
      all);
}

void AddMounts(std::vector<FieldSample>& all) {
  const std::string plain = "container_path: '/a' host_path: '/b' ";
  const auto more = [&plain](const std::string& field, const std::string& text,
                             const std::string& given = "") {
    return S(field, plain + given + text, plain + given);
  };
  Add("Mount", SampleOf::kContainer, "mounts",
      {S("container_path", "container_path: '/z' host_path: '/b'", plain),
       S("host_path", "container_path: '/a' host_path: '/z'", plain),
       more("readonly", "readonly: true"),
       more("selinux_relabel", "selinux_relabel: true"),
       more("propagation", "propagation: PROPAGATION_BIDIRECTIONAL"),
       more("recursive_read_only", "recursive_read_only: true",
            "readonly: true "),
       S("image", "container_path: '/a' image { image: 'z' }", plain),
       S("image_sub_path",
         "container_path: '/a' image { image: 'z' } image_sub_path: 's'",
         plain),
       more("uidMappings", "uidMappings { length: 1 }"),
       more("gidMappings", "gidMappings { length: 1 }")},
      all);
}

void AddResources(std::vector<FieldSample>& all) {
  constexpr SampleOf kContainer = SampleOf::kContainer;
  Add("LinuxContainerConfig", kContainer, "linux",
      {S("resources", "resources { cpu_shares: 2 }"),
       S("security_context", "security_context { privileged: true }")},
      all);
  Add("LinuxContainerResources", kContainer, "linux { resources",
      {S("cpu_period", "cpu_period: 1000 }", "}"),
       S("cpu_quota", "cpu_quota: 1000 }", "}"),
       S("cpu_shares", "cpu_shares: 2 }", "}"),
       S("memory_limit_in_bytes", "memory_limit_in_bytes: 9 }", "}"),
       S("oom_score_adj", "oom_score_adj: 9 }", "}"),
       S("cpuset_cpus", "cpuset_cpus: '0' }", "}"),
       S("cpuset_mems", "cpuset_mems: '0' }", "}"),
       S("hugepage_limits", "hugepage_limits { page_size: '2MB' } }", "}"),
       S("unified", "unified { key: 'memory.high' value: '9' } }", "}"),
       S("memory_swap_limit_in_bytes", "memory_swap_limit_in_bytes: -1 }",
         "}")},
      all);
  Add("HugepageLimit", kContainer, "linux { resources { hugepage_limits",
      {S("page_size", "page_size: '1GB' } }", "page_size: '2MB' } }"),
       S("limit", "page_size: '2MB' limit: 9 } }", "page_size: '2MB' } }")},
      all);
}

void AddSecurity(std::vector<FieldSample>& all) {
  constexpr SampleOf kContainer = SampleOf::kContainer;
  const std::string user = "run_as_user { value: 5 } ";
  Add("LinuxContainerSecurityContext", kContainer, "linux { security_context",
      {S("capabilities", "capabilities { add_capabilities: 'ALL' } }", "}"),
       S("privileged", "privileged: true }", "}"),
       S("namespace_options", "namespace_options { pid: NODE } }", "}"),
       S("selinux_options", "selinux_options { level: 's0' } }", "}"),
       S("run_as_user", user + "}", "}"),
       S("run_as_group", user + "run_as_group { value: 5 } }", user + "}"),
       S("run_as_username", "run_as_username: 'a' }", "}"),
       S("readonly_rootfs", "readonly_rootfs: true }", "}"),
       S("supplemental_groups", "supplemental_groups: 5 }", "}"),
       S("supplemental_groups_policy", "supplemental_groups_policy: Strict }",
         "}"),
       S("no_new_privs", "no_new_privs: true }", "}"),
       S("masked_paths", "masked_paths: '/a' }", "}"),
       S("readonly_paths", "readonly_paths: '/a' }", "}"),
       S("seccomp", "seccomp { profile_type: RuntimeDefault } }", "}"),
       S("apparmor", "apparmor { profile_type: Unconfined } }", "}"),
       S("apparmor_profile", "apparmor_profile: 'localhost/a' }", "}"),
       S("seccomp_profile_path", "seccomp_profile_path: 'localhost//a' }",
         "}")},
      all);
  Add("Int64Value", kContainer, "linux { security_context",
      {S("value", "run_as_user { value: 6 } }", user + "}")}, all);
  Add("Capability", kContainer, "linux { security_context { capabilities",
      {S("add_capabilities", "add_capabilities: 'ALL' } }", "} }"),
       S("drop_capabilities", "drop_capabilities: 'ALL' } }", "} }"),
       S("add_ambient_capabilities", "add_ambient_capabilities: 'CHOWN' } }",
         "} }")},
      all);
  Add("SELinuxOption", kContainer, "linux { security_context { selinux_options",
      {S("user", "user: 'a' } }", "} }"), S("role", "role: 'a' } }", "} }"),
       S("type", "type: 'a' } }", "} }"), S("level", "level: 's0' } }", "} }")},
      all);
  Add("SecurityProfile", kContainer, "linux { security_context { seccomp",
      {S("profile_type", "profile_type: Unconfined } }", "} }"),
       S("localhost_ref", "profile_type: Localhost localhost_ref: '/b' } }",
         "profile_type: Localhost localhost_ref: '/a' } }")},
      all);
}

void AddNamespaces(std::vector<FieldSample>& all) {
  constexpr SampleOf kPod = SampleOf::kPod;
  const std::string options = "linux { security_context { namespace_options";
  Add("NamespaceOption", kPod, options,
      {S("network", "network: NODE } }", "} }"),
       S("pid", "pid: NODE } }", "} }"), S("ipc", "ipc: NODE } }", "} }")},
      all);
  const std::string map = " { host_id: 9000 length: 65536 } ";
  const std::string gids = "gids" + map;
  const auto userns = [&](const std::string& uids) {
    return "userns_options { mode: POD uids { " + uids + " } " + gids + "} } }";
  };
  Add("NamespaceOption", kPod, options,
      {S("userns_options", userns("host_id: 9000 length: 65536"), "} }")}, all);
  Add("NamespaceOption", SampleOf::kContainer, options,
      {S("target_id", "pid: TARGET target_id: 'b' } }",
         "pid: TARGET target_id: 'a' } }")},
      all);
  const std::string plain = userns("host_id: 9000 length: 65536");
  Add("UserNamespace", kPod, options,
      {S("mode", plain, "} }"),
       S("uids", userns("host_id: 9000 length: 9"), plain),
       S("gids",
         "userns_options { mode: POD uids" + map +
             "gids { host_id: 9000 length: 9 } } } }",
         plain)},
      all);
  Add("IDMapping", kPod, options,
      {S("host_id", userns("host_id: 9001 length: 65536"), plain),
       S("container_id",
         userns("host_id: 9000 length: 1 } uids { host_id: 9001 "
                "container_id: 2 length: 1"),
         userns("host_id: 9000 length: 1 } uids { host_id: 9001 "
                "container_id: 1 length: 1")),
       S("length", userns("host_id: 9000 length: 9"), plain)},
      all);
}

}  // namespace

std::vector<FieldSample> FieldSamples() {
  std::vector<FieldSample> all;
  AddPod(all);
  AddContainer(all);
  AddMounts(all);
  AddResources(all);
  AddSecurity(all);
  AddNamespaces(all);
  return all;
}

}  // namespace pinion::cri
