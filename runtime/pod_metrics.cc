#include "runtime/pod_metrics.h"

#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"

namespace pinion::runtime {
namespace {

constexpr double kSecondsPerMicro = 1e-6;

struct ResourceName {
  const char* name;
  std::optional<cgroup::Pressure> cgroup::Usage::*pressure;
};
constexpr ResourceName kResources[] = {
    {"cpu", &cgroup::Usage::cpu_pressure},
    {"memory", &cgroup::Usage::memory_pressure},
    {"io", &cgroup::Usage::io_pressure}};

}  // namespace

PodMetrics::PodMetrics(metrics::Registry& registry, int64_t since_ns)
    : since_ns_(since_ns),
      periods_(registry.AddCounter(
          "pinion_container_cpu_periods_total",
          "Periods of containers' CPU limits that have passed.")),
      throttled_periods_(registry.AddCounter(
          "pinion_container_cpu_throttled_periods_total",
          "Periods in which a container's CPU limit was reached.")),
      throttled_seconds_(registry.AddCounter(
          "pinion_container_cpu_throttled_seconds_total",
          "Time that containers were held back by their CPU limits.")),
      oom_kills_(registry.AddCounter(
          "pinion_pod_oom_killed_processes_total",
          "Processes of pods that the kernel's OOM killer ended.")) {
  for (size_t i = 0; i < std::size(kResources); ++i) {
    const std::string resource = kResources[i].name;
    const auto waited = [&](const char* tasks) {
      return &registry.AddCounter(
          "pinion_pod_pressure_seconds_total",
          "Time in which some, or all, tasks of a pod waited for a resource.",
          {{"resource", resource}, {"tasks", tasks}});
    };
    resources_[i] = {
        waited("some"), waited("all"),
        &registry.AddGauge("pinion_pods_under_pressure",
                           "Pods in which tasks waited for a resource for a "
                           "tenth of the last ten seconds or more.",
                           {{"resource", resource}})};
  }
}

void PodMetrics::Gain(const std::string& key, int64_t created_at_ns,
                      const cgroup::OptionalCount& value, double unit,
                      metrics::Counter& sum) {
  if (!value) return;
  const auto [found, first] = seen_.try_emplace(key);
  Seen& seen = found->second;
  // What is older than the counters: its total so far is another daemon's.
  const bool counted_before = first && created_at_ns < since_ns_;
  if (*value > seen.value && !counted_before) {
    sum.Increment(static_cast<double>(*value - seen.value) * unit);
  }
  seen = {*value, look_};
}

void PodMetrics::TakePressure(const PodUsage& pod) {
  for (size_t i = 0; i < std::size(kResources); ++i) {
    const auto& pressure = pod.cgroup->usage.*kResources[i].pressure;
    if (!pressure) continue;
    const std::string key = absl::StrCat(pod.pod->id(), kResources[i].name);
    const int64_t created = pod.pod->created_at_ns();
    if (pressure->some) {
      Gain(key + "some", created, pressure->some->total_us, kSecondsPerMicro,
           *resources_[i].some);
      if (pressure->some->avg10 >= kUnderPressurePercent) {
        resources_[i].pods->Add(1);
      }
    }
    if (pressure->full) {
      Gain(key + "full", created, pressure->full->total_us, kSecondsPerMicro,
           *resources_[i].full);
    }
  }
}

void PodMetrics::Take(const std::vector<PodUsage>& pods) {
  ++look_;
  for (const Resource& resource : resources_) resource.pods->Set(0);
  for (const PodUsage& pod : pods) {
    if (!pod.cgroup) continue;
    TakePressure(pod);
    if (pod.cgroup->details) {
      Gain(pod.pod->id() + "oom", pod.pod->created_at_ns(),
           pod.cgroup->details->memory_events.oom_kills, 1, oom_kills_);
    }
    for (const ContainerUsage& container : pod.containers) {
      if (!container.cgroup) continue;
      const std::string& id = container.container->id();
      const int64_t created = container.container->created_at_ns();
      const cgroup::CpuStat& cpu = container.cgroup->usage.cpu;
      Gain(id + "periods", created, cpu.periods, 1, periods_);
      Gain(id + "held", created, cpu.throttled_periods, 1, throttled_periods_);
      Gain(id + "time", created, cpu.throttled_us, kSecondsPerMicro,
           throttled_seconds_);
    }
  }
  for (auto it = seen_.begin(); it != seen_.end();) {
    it = it->second.look == look_ ? std::next(it) : seen_.erase(it);
  }
}

void AddPodMetrics(metrics::Registry& registry, const Runtime& runtime) {
  registry.OnScrape([metrics = std::make_shared<PodMetrics>(
                         registry, Clock::Real().WallNanos()),
                     &runtime] {
    std::vector<PodUsage> pods;
    for (const PodSnapshot& pod : runtime.ListPods()) {
      if (pod->state() != state::POD_READY) continue;
      auto usage = runtime.MeasurePod(pod->id(), UsageDetail::kCgroups);
      // Removed meanwhile; what else may be wrong the statistics log.
      if (usage.ok()) pods.push_back(*std::move(usage));
    }
    metrics->Take(pods);
  });
}

}  // namespace pinion::runtime
