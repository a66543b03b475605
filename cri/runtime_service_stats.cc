#include "cri/runtime_service_stats.h"

#include <string>

#include "base/log.h"
#include "base/status_macros.h"
#include "cri/resolve.h"
#include "cri/translate_metrics.h"
#include "cri/translate_stats.h"
#include "runtime/runtime.h"

namespace pinion::cri {
namespace {

using runtime::UsageDetail;

// In a list: one that cannot be read must not hide the others.
void LogUnread(const char* kind, const std::string& id,
               const absl::Status& status) {
  if (absl::IsNotFound(status)) return;  // removed meanwhile
  Log(LogLevel::kWarning, "usage could not be read",
      {{kind, id}, {"error", status.ToString()}});
}

}  // namespace

absl::Status StatsRpcs::ContainerStats(
    const api::ContainerStatsRequest& request,
    api::ContainerStatsResponse* response) {
  PINION_ASSIGN_OR_RETURN(const runtime::ContainerSnapshot container,
                          ResolveContainer(runtime_, request.container_id()));
  PINION_ASSIGN_OR_RETURN(
      const runtime::ContainerUsage usage,
      runtime_.MeasureContainer(container->id(), UsageDetail::kStats));
  ToContainerStats(usage, response->mutable_stats());
  return absl::OkStatus();
}

absl::Status StatsRpcs::ListContainerStats(
    const api::ListContainerStatsRequest& request,
    api::ListContainerStatsResponse* response) {
  for (const auto& container : runtime_.ListContainers()) {
    if (!Matches(request.filter(), *container)) continue;
    const auto usage =
        runtime_.MeasureContainer(container->id(), UsageDetail::kStats);
    if (usage.ok()) {
      ToContainerStats(*usage, response->add_stats());
    } else {
      LogUnread("container", container->id(), usage.status());
    }
  }
  return absl::OkStatus();
}

absl::Status StatsRpcs::PodSandboxStats(
    const api::PodSandboxStatsRequest& request,
    api::PodSandboxStatsResponse* response) {
  PINION_ASSIGN_OR_RETURN(const runtime::PodSnapshot pod,
                          ResolvePod(runtime_, request.pod_sandbox_id()));
  PINION_ASSIGN_OR_RETURN(const runtime::PodUsage usage,
                          runtime_.MeasurePod(pod->id(), UsageDetail::kStats));
  ToPodSandboxStats(usage, response->mutable_stats());
  return absl::OkStatus();
}

void StatsRpcs::ForEachReadyPod(
    const api::PodSandboxStatsFilter& filter, UsageDetail detail,
    absl::FunctionRef<void(const runtime::PodUsage&)> each) {
  for (const runtime::PodSnapshot& pod : runtime_.ListPods()) {
    if (pod->state() != state::POD_READY || !Matches(filter, *pod)) continue;
    const auto usage = runtime_.MeasurePod(pod->id(), detail);
    if (usage.ok()) {
      each(*usage);
    } else {
      LogUnread("pod", pod->id(), usage.status());
    }
  }
}

absl::Status StatsRpcs::ListPodSandboxStats(
    const api::ListPodSandboxStatsRequest& request,
    api::ListPodSandboxStatsResponse* response) {
  ForEachReadyPod(request.filter(), UsageDetail::kStats,
                  [response](const runtime::PodUsage& usage) {
                    ToPodSandboxStats(usage, response->add_stats());
                  });
  return absl::OkStatus();
}

absl::Status StatsRpcs::ListMetricDescriptors(
    const api::ListMetricDescriptorsRequest&,
    api::ListMetricDescriptorsResponse* response) {
  ToMetricDescriptors(response);
  return absl::OkStatus();
}

absl::Status StatsRpcs::ListPodSandboxMetrics(
    const api::ListPodSandboxMetricsRequest&,
    api::ListPodSandboxMetricsResponse* response) {
  ForEachReadyPod({}, UsageDetail::kMetrics,
                  [response](const runtime::PodUsage& usage) {
                    ToPodSandboxMetrics(usage, response->add_pod_metrics());
                  });
  return absl::OkStatus();
}

}  // namespace pinion::cri
