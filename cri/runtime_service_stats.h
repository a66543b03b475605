// The RPCs about what pods and containers use.
//
// Thread-safe; holds nothing but pointers. They take no pod's lock, and an
// object that goes while a list is made is left out of it.

#ifndef PINION_CRI_RUNTIME_SERVICE_STATS_H_
#define PINION_CRI_RUNTIME_SERVICE_STATS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "cri/api.h"
#include "runtime/usage.h"

namespace pinion::runtime {
class Runtime;
}

namespace pinion::cri {

class StatsRpcs {
 public:
  explicit StatsRpcs(runtime::Runtime* runtime) : runtime_(*runtime) {}

  absl::Status ContainerStats(const api::ContainerStatsRequest& request,
                              api::ContainerStatsResponse* response);
  absl::Status ListContainerStats(const api::ListContainerStatsRequest& request,
                                  api::ListContainerStatsResponse* response);
  absl::Status PodSandboxStats(const api::PodSandboxStatsRequest& request,
                               api::PodSandboxStatsResponse* response);
  // Of the pods that are ready: only they use anything.
  absl::Status ListPodSandboxStats(
      const api::ListPodSandboxStatsRequest& request,
      api::ListPodSandboxStatsResponse* response);
  absl::Status ListMetricDescriptors(
      const api::ListMetricDescriptorsRequest& request,
      api::ListMetricDescriptorsResponse* response);
  absl::Status ListPodSandboxMetrics(
      const api::ListPodSandboxMetricsRequest& request,
      api::ListPodSandboxMetricsResponse* response);

 private:
  void ForEachReadyPod(const api::PodSandboxStatsFilter& filter,
                       runtime::UsageDetail detail,
                       absl::FunctionRef<void(const runtime::PodUsage&)> each);

  runtime::Runtime& runtime_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_RUNTIME_SERVICE_STATS_H_
