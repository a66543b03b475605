// What a pod network counts.
//
// Thread-safe; the registry must outlive it.

#ifndef PINION_NETWORK_NETWORK_METRICS_H_
#define PINION_NETWORK_NETWORK_METRICS_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "ipam/pool.h"
#include "metrics/metrics.h"

namespace pinion::network {

class NetworkMetrics {
 public:
  explicit NetworkMetrics(metrics::Registry& registry);
  // Scrapes that follow show the last counts no more.
  ~NetworkMetrics();

  // Whose fill pinion_ipam_addresses shows from now on.
  void SetPools(std::vector<std::shared_ptr<const ipam::Pool>> pools);

  metrics::Histogram& allocation_seconds;
  metrics::Histogram& attach_seconds;
  metrics::Counter& attach_failures;
  metrics::Counter& exhausted;
  metrics::Counter& pools_set_aside;
  metrics::Gauge& ready;

 private:
  // Shared with the registry's callback, which lives longer.
  struct Pools {
    absl::Mutex mutex;
    std::vector<std::shared_ptr<const ipam::Pool>> pools ABSL_GUARDED_BY(mutex);
  };

  static void Show(metrics::Registry& registry, const ipam::Pool* pool,
                   const std::string& name);

  metrics::Registry& registry_;
  const std::shared_ptr<Pools> pools_;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_NETWORK_METRICS_H_
