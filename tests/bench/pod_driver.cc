#include "tests/bench/pod_driver.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::bench {

namespace cri = ::runtime::v1;

namespace {
// containerd needs half a minute for 270 pods at once on two cores.
constexpr std::chrono::minutes kDeadline(5);
}  // namespace

PodDriver::PodDriver(const PodDriverOptions& options)
    : options_(options), client_(options.socket) {}

absl::Status PodDriver::Call(const char* name,
                             const google::protobuf::Message& request,
                             google::protobuf::Message* response) const {
  const absl::Status status = client_.Call(request, response, kDeadline);
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(name, ": ", status.message()));
}

BenchPod PodDriver::NewPod() {
  BenchPod pod;
  const std::string name =
      absl::StrCat("bench-", getpid(), "-", std::to_string(serial_++));
  auto* metadata = pod.config.mutable_metadata();
  metadata->set_name(name);
  metadata->set_uid(name + "-uid");
  metadata->set_namespace_("bench");
  if (!options_.host_network) pod.config.set_hostname(name);
  pod.config.set_log_directory(options_.log_root + "/" + name);
  std::filesystem::create_directories(pod.config.log_directory() + "/app");
  auto* dns = pod.config.mutable_dns_config();
  dns->add_servers("10.96.0.10");
  dns->add_searches("bench.svc.cluster.local");
  dns->add_options("ndots:5");
  auto* linux_config = pod.config.mutable_linux();
  linux_config->set_cgroup_parent(options_.cgroup_parent);
  auto* security = linux_config->mutable_security_context();
  auto* namespaces = security->mutable_namespace_options();
  namespaces->set_pid(cri::CONTAINER);
  if (options_.host_network) namespaces->set_network(cri::NODE);
  security->mutable_seccomp()->set_profile_type(
      cri::SecurityProfile::RuntimeDefault);
  return pod;
}

absl::Status PodDriver::RunPod(BenchPod* pod) const {
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = pod->config;
  request.set_runtime_handler(options_.runtime_handler);
  cri::RunPodSandboxResponse response;
  PINION_RETURN_IF_ERROR(Call("RunPodSandbox", request, &response));
  pod->pod = response.pod_sandbox_id();
  return absl::OkStatus();
}

absl::Status PodDriver::Create(BenchPod* pod) const {
  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod->pod);
  *request.mutable_sandbox_config() = pod->config;
  auto* config = request.mutable_config();
  config->mutable_metadata()->set_name("app");
  config->mutable_image()->set_image(options_.image);
  config->add_command(kContainerCommand);
  config->add_args("3600");
  config->set_log_path("app/0.log");
  auto* resources = config->mutable_linux()->mutable_resources();
  resources->set_cpu_shares(102);
  resources->set_memory_limit_in_bytes(int64_t{128} << 20);
  resources->set_oom_score_adj(500);
  auto* security = config->mutable_linux()->mutable_security_context();
  *security->mutable_namespace_options() =
      pod->config.linux().security_context().namespace_options();
  security->mutable_seccomp()->set_profile_type(
      cri::SecurityProfile::RuntimeDefault);
  cri::CreateContainerResponse response;
  PINION_RETURN_IF_ERROR(Call("CreateContainer", request, &response));
  pod->container = response.container_id();
  return absl::OkStatus();
}

absl::Status PodDriver::Start(const BenchPod& pod) const {
  cri::StartContainerRequest request;
  request.set_container_id(pod.container);
  cri::StartContainerResponse response;
  return Call("StartContainer", request, &response);
}

absl::Status PodDriver::Up(BenchPod* pod) const {
  PINION_RETURN_IF_ERROR(RunPod(pod));
  PINION_RETURN_IF_ERROR(Create(pod));
  return Start(*pod);
}

absl::Status PodDriver::ExecTrue(const BenchPod& pod) const {
  cri::ExecSyncRequest request;
  request.set_container_id(pod.container);
  request.add_cmd("true");
  request.set_timeout(30);
  cri::ExecSyncResponse response;
  PINION_RETURN_IF_ERROR(Call("ExecSync", request, &response));
  if (response.exit_code() != 0) {
    return absl::InternalError(
        absl::StrCat("ExecSync: true ended with ", response.exit_code()));
  }
  return absl::OkStatus();
}

absl::Status PodDriver::StopContainer(const BenchPod& pod,
                                      int grace_seconds) const {
  cri::StopContainerRequest request;
  request.set_container_id(pod.container);
  request.set_timeout(grace_seconds);
  cri::StopContainerResponse response;
  return Call("StopContainer", request, &response);
}

absl::Status PodDriver::StopPod(const BenchPod& pod) const {
  cri::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(pod.pod);
  cri::StopPodSandboxResponse response;
  return Call("StopPodSandbox", request, &response);
}

absl::Status PodDriver::RemoveContainer(const BenchPod& pod) const {
  cri::RemoveContainerRequest request;
  request.set_container_id(pod.container);
  cri::RemoveContainerResponse response;
  return Call("RemoveContainer", request, &response);
}

absl::Status PodDriver::RemovePod(const BenchPod& pod) const {
  cri::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(pod.pod);
  cri::RemovePodSandboxResponse response;
  return Call("RemovePodSandbox", request, &response);
}

absl::Status PodDriver::Down(const BenchPod& pod) const {
  PINION_RETURN_IF_ERROR(StopContainer(pod));
  PINION_RETURN_IF_ERROR(StopPod(pod));
  PINION_RETURN_IF_ERROR(RemoveContainer(pod));
  return RemovePod(pod);
}

absl::Status PodDriver::RemoveAll() const {
  cri::ListPodSandboxResponse pods;
  PINION_RETURN_IF_ERROR(
      Call("ListPodSandbox", cri::ListPodSandboxRequest(), &pods));
  absl::Status first;
  for (const cri::PodSandbox& item : pods.items()) {
    BenchPod pod;
    pod.pod = item.id();
    first.Update(StopPod(pod));
    first.Update(RemovePod(pod));
  }
  return first;
}

}  // namespace pinion::bench
