// What further networks count and show.
//
// Thread-safe; the registry must outlive it.

#ifndef PINION_NETWORK_SECONDARY_SECONDARY_METRICS_H_
#define PINION_NETWORK_SECONDARY_SECONDARY_METRICS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "ipam/pool.h"
#include "metrics/metrics.h"

namespace pinion::network {

class SecondaryMetrics {
 public:
  explicit SecondaryMetrics(metrics::Registry& registry);

  void ShowReady(const std::string& network, bool ready);
  // Whose fill scrapes show from now on, until this object's end.
  void SetPools(const std::string& network,
                std::vector<std::shared_ptr<const ipam::Pool>> pools);
  // Claims of the pool that found no free address.
  metrics::Counter& ExhaustedOf(const std::string& network,
                                const ipam::IpRange& range);

  metrics::Histogram& attach_seconds;
  metrics::Counter& attach_failures;

 private:
  // By network. Shared with the registry's callback, which lives longer.
  struct Pools {
    absl::Mutex mutex;
    std::map<std::string, std::vector<std::shared_ptr<const ipam::Pool>>> pools
        ABSL_GUARDED_BY(mutex);
  };

  metrics::Registry& registry_;
  const std::shared_ptr<Pools> pools_;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_SECONDARY_SECONDARY_METRICS_H_
