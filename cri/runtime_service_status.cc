#include "cri/runtime_service_status.h"

#include <utility>

#include "base/status_macros.h"
#include "cri/field.h"
#include "cri/info_json.h"
#include "network/pod_network.h"
#include "runtime/runtime.h"

namespace pinion::cri {
namespace {

// Two ranges of IPv6 in their longest spelling, and then some.
constexpr size_t kMaxPodCidr = 256;

void AddHandler(const std::string& name, bool user_namespaces,
                api::StatusResponse* response) {
  api::RuntimeHandler* handler = response->add_runtime_handlers();
  handler->set_name(name);
  // mount_setattr(2) with AT_RECURSIVE; every kernel pinion runs on has it.
  handler->mutable_features()->set_recursive_read_only_mounts(true);
  handler->mutable_features()->set_user_namespaces(user_namespaces);
}

std::string DriverName(cgroup::DriverKind kind) {
  return kind == cgroup::DriverKind::kSystemd ? "systemd" : "cgroupfs";
}

}  // namespace

StatusRpcs::StatusRpcs(const Options& options, const Dependencies& dependencies)
    : handlers_(options.runtime_handlers),
      cgroup_driver_(dependencies.cgroup_driver),
      version_(dependencies.version),
      config_json_(dependencies.config_json),
      network_(*dependencies.network),
      runtime_(dependencies.runtime),
      user_namespaces_(runtime_ != nullptr && runtime_->HasUserNamespaces()) {}

absl::Status StatusRpcs::Version(const api::VersionRequest&,
                                 api::VersionResponse* response) {
  // `version` is the kubelet's own name for the API, unchanged since v1alpha1.
  response->set_version("0.1.0");
  response->set_runtime_name("pinion");
  response->set_runtime_version(version_);
  response->set_runtime_api_version("v1");
  return absl::OkStatus();
}

absl::Status StatusRpcs::Status(const api::StatusRequest& request,
                                api::StatusResponse* response) {
  // Whoever answers is ready: the server starts after the records are open.
  api::RuntimeCondition* runtime = response->mutable_status()->add_conditions();
  runtime->set_type("RuntimeReady");
  runtime->set_status(true);

  const network::Readiness readiness = network_.GetReadiness();
  api::RuntimeCondition* network = response->mutable_status()->add_conditions();
  network->set_type("NetworkReady");
  network->set_status(readiness.ready);
  network->set_reason(readiness.reason);
  network->set_message(readiness.message);

  AddHandler("", user_namespaces_, response);
  for (const std::string& name : handlers_) {
    if (!name.empty()) AddHandler(name, user_namespaces_, response);
  }
  response->mutable_features()->set_supplemental_groups_policy(true);
  response->mutable_features()->set_user_namespaces_host_network(
      user_namespaces_);

  if (request.verbose()) {
    auto& info = *response->mutable_info();
    info["config"] = config_json_ ? config_json_() : "{}";
    info["version"] = VersionInfo(version_);
    info["network"] = NetworkInfo(readiness, network_.GetSecondary());
    if (runtime_ != nullptr) {
      info["apparmor"] = AppArmorInfo(runtime_->GetAppArmorState());
    }
    info["cgroup"] = CgroupInfo(DriverName(cgroup_driver_));
  }
  return absl::OkStatus();
}

absl::Status StatusRpcs::RuntimeConfig(const api::RuntimeConfigRequest&,
                                       api::RuntimeConfigResponse* response) {
  response->mutable_linux()->set_cgroup_driver(
      cgroup_driver_ == cgroup::DriverKind::kSystemd ? api::SYSTEMD
                                                     : api::CGROUPFS);
  return absl::OkStatus();
}

absl::Status StatusRpcs::UpdateRuntimeConfig(
    const api::UpdateRuntimeConfigRequest& request,
    api::UpdateRuntimeConfigResponse*) {
  const std::string& cidr =
      request.runtime_config().network_config().pod_cidr();
  if (cidr.empty()) return absl::OkStatus();
  const Field field("runtime_config.network_config.pod_cidr");
  PINION_RETURN_IF_ERROR(CheckLine(field, cidr, kMaxPodCidr));
  PINION_RETURN_IF_ERROR_AS(network_.SetPodCidr(cidr), field.ToString());
  return absl::OkStatus();
}

}  // namespace pinion::cri
