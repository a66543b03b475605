// Requests as the kubelet sends them, for tests to bend.

#ifndef PINION_TESTS_UNIT_CRI_REQUESTS_H_
#define PINION_TESTS_UNIT_CRI_REQUESTS_H_

#include <string>

#include "cri/api.h"

namespace pinion::cri {

inline api::RunPodSandboxRequest PodRequest(const std::string& name = "web-0") {
  api::RunPodSandboxRequest request;
  api::PodSandboxConfig* config = request.mutable_config();
  config->mutable_metadata()->set_name(name);
  config->mutable_metadata()->set_uid("7b8b3a3e-0b52-4d39-9d12-7b2f1c7a4a01");
  config->mutable_metadata()->set_namespace_("shop");
  config->mutable_metadata()->set_attempt(1);
  config->set_hostname("web-0");
  config->set_log_directory("/var/log/pods/shop_web-0_7b8b3a3e");
  config->mutable_dns_config()->add_servers("10.96.0.10");
  config->mutable_dns_config()->add_searches("shop.svc.cluster.local");
  config->mutable_dns_config()->add_options("ndots:5");
  api::PortMapping* port = config->add_port_mappings();
  port->set_container_port(8080);
  (*config->mutable_labels())["app"] = "web";
  (*config->mutable_annotations())["example.org/note"] =
      "line 1\nline 2 \xC3\xBC";
  api::LinuxPodSandboxConfig* linux = config->mutable_linux();
  linux->set_cgroup_parent("kubepods-burstable-pod7b8b3a3e.slice");
  (*linux->mutable_sysctls())["net.ipv4.ip_unprivileged_port_start"] = "0";
  api::LinuxSandboxSecurityContext* security =
      linux->mutable_security_context();
  security->mutable_namespace_options()->set_pid(api::CONTAINER);
  security->mutable_seccomp()->set_profile_type(
      api::SecurityProfile::RuntimeDefault);
  linux->mutable_resources()->set_cpu_shares(512);
  linux->mutable_overhead();
  return request;
}

inline api::CreateContainerRequest ContainerRequest(
    const std::string& pod_id = std::string(64, '0')) {
  api::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod_id);
  api::ContainerConfig* config = request.mutable_config();
  config->mutable_metadata()->set_name("server");
  config->mutable_metadata()->set_attempt(2);
  config->mutable_image()->set_image("sha256:" + std::string(64, 'a'));
  config->mutable_image()->set_user_specified_image("shop/web:1");
  (*config->mutable_image()->mutable_annotations())["a"] = "b";
  config->add_command("/bin/server");
  config->add_args("--port=8080");
  config->set_working_dir("/srv");
  api::KeyValue* env = config->add_envs();
  env->set_key("TOKEN");
  env->set_value("s3cret\xFF");
  api::Mount* mount = config->add_mounts();
  mount->set_container_path("/data");
  mount->set_host_path("/var/lib/kubelet/pods/7b8b3a3e/volumes/data");
  mount->set_readonly(true);
  mount->set_selinux_relabel(true);
  mount = config->add_mounts();
  mount->set_container_path("/mnt");
  mount->set_host_path("/mnt");
  mount->set_propagation(api::PROPAGATION_BIDIRECTIONAL);
  api::Device* device = config->add_devices();
  device->set_container_path("/dev/fuse");
  device->set_host_path("/dev/fuse");
  device->set_permissions("mrw");
  (*config->mutable_labels())["io.kubernetes.container.name"] = "server";
  (*config->mutable_annotations())["hash"] = "1a2b";
  config->set_log_path("server/2.log");
  config->set_stop_signal(api::SIGNAL_SIGUSR1);
  api::LinuxContainerConfig* linux = config->mutable_linux();
  linux->mutable_resources()->set_cpu_shares(256);
  linux->mutable_resources()->set_memory_limit_in_bytes(64 << 20);
  api::LinuxContainerSecurityContext* security =
      linux->mutable_security_context();
  security->mutable_namespace_options()->set_pid(api::CONTAINER);
  security->mutable_capabilities()->add_add_capabilities("NET_BIND_SERVICE");
  security->mutable_capabilities()->add_drop_capabilities("ALL");
  security->mutable_run_as_user()->set_value(1000);
  security->mutable_run_as_group()->set_value(1001);
  security->add_supplemental_groups(2000);
  security->add_masked_paths("/proc/kcore");
  security->add_readonly_paths("/proc/sys");
  security->set_no_new_privs(true);
  security->mutable_seccomp()->set_profile_type(
      api::SecurityProfile::RuntimeDefault);
  return request;
}

}  // namespace pinion::cri

#endif  // PINION_TESTS_UNIT_CRI_REQUESTS_H_
