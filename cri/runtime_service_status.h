// The RPCs about the runtime itself: Version, Status, RuntimeConfig,
// UpdateRuntimeConfig.
//
// Thread-safe. Status takes no lock: it answers whatever else is under way.

#ifndef PINION_CRI_RUNTIME_SERVICE_STATUS_H_
#define PINION_CRI_RUNTIME_SERVICE_STATUS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cri/api.h"
#include "cri/server.h"

namespace pinion::cri {

class StatusRpcs {
 public:
  StatusRpcs(const Options& options, const Dependencies& dependencies);

  absl::Status Version(const api::VersionRequest& request,
                       api::VersionResponse* response);
  absl::Status Status(const api::StatusRequest& request,
                      api::StatusResponse* response);
  // Tells the kubelet which cgroup driver to use.
  absl::Status RuntimeConfig(const api::RuntimeConfigRequest& request,
                             api::RuntimeConfigResponse* response);
  // The node's pod range, once the kubelet knows it.
  absl::Status UpdateRuntimeConfig(
      const api::UpdateRuntimeConfigRequest& request,
      api::UpdateRuntimeConfigResponse* response);

 private:
  const std::vector<std::string> handlers_;
  const cgroup::DriverKind cgroup_driver_;
  const std::string version_;
  const std::function<std::string()> config_json_;
  network::PodNetwork& network_;
  const runtime::Runtime* const runtime_;
  const bool user_namespaces_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_RUNTIME_SERVICE_STATUS_H_
