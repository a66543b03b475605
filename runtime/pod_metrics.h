// What all pods together have waited, been held back and lost to the OOM
// killer: sums over pods and containers, for Prometheus.
//
// Labels come from fixed sets, so the number of series does not grow with the
// pods; by pod and container the same numbers go to the kubelet
// (ListPodSandboxMetrics). A counter of the kernel's ends with its cgroup, so
// each look adds what came since the last one: what a container did between
// the last look and its end is not counted.
//
// Thread-safe if Take is called by one thread at a time.

#ifndef PINION_RUNTIME_POD_METRICS_H_
#define PINION_RUNTIME_POD_METRICS_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "metrics/metrics.h"
#include "runtime/runtime.h"
#include "runtime/usage.h"

namespace pinion::runtime {

class PodMetrics {
 public:
  // A pod in which some task waited for this share of the last ten seconds
  // counts as under pressure.
  static constexpr double kUnderPressurePercent = 10;

  // `since_ns` (wall clock): when this daemon began to count. Of what is older
  // only what comes from now on counts: a restart is no burst.
  PodMetrics(metrics::Registry& registry, int64_t since_ns);

  // `pods`: all that are ready, measured with UsageDetail::kCgroups.
  void Take(const std::vector<PodUsage>& pods);

 private:
  // One counter of one cgroup.
  struct Seen {
    uint64_t value = 0;
    uint64_t look = 0;
  };
  struct Resource {
    metrics::Counter* some;
    metrics::Counter* full;
    metrics::Gauge* pods;
  };

  // Adds to `sum` what `key`'s counter has gained since the last look.
  void Gain(const std::string& key, int64_t created_at_ns,
            const cgroup::OptionalCount& value, double unit,
            metrics::Counter& sum);
  void TakePressure(const PodUsage& pod);

  const int64_t since_ns_;
  metrics::Counter& periods_;
  metrics::Counter& throttled_periods_;
  metrics::Counter& throttled_seconds_;
  metrics::Counter& oom_kills_;
  std::array<Resource, 3> resources_;
  std::map<std::string, Seen> seen_;
  uint64_t look_ = 0;
};

// Looks at every scrape; the endpoint ends before `runtime` does.
void AddPodMetrics(metrics::Registry& registry, const Runtime& runtime);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_POD_METRICS_H_
