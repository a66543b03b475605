// What a pod network counts.
//
// Thread-safe; the registry must outlive it.

#ifndef PINION_NETWORK_NETWORK_METRICS_H_
#define PINION_NETWORK_NETWORK_METRICS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "ipam/pool.h"
#include "metrics/metrics.h"

namespace pinion::network {

class NetworkMetrics {
 public:
  // `mode` as the configuration writes it.
  NetworkMetrics(metrics::Registry& registry, const std::string& mode);
  // Scrapes that follow show the last counts no more.
  ~NetworkMetrics();

  // Whose fill pinion_ipam_addresses shows from now on.
  void SetPools(std::vector<std::shared_ptr<const ipam::Pool>> pools);

  // A claim that found no free address.
  void CountExhausted(const std::string& pool) {
    ExhaustedOf(registry_, pool).Increment();
  }
  // pinion_ipam_exhausted_total of a pool.
  static metrics::Counter& ExhaustedOf(metrics::Registry& registry,
                                       const std::string& pool);

  // pinion_ipam_duplicates_total of a pool.
  static metrics::Counter& DuplicatesOf(metrics::Registry& registry,
                                        const std::string& pool);

  // The phases of an attach, one after the other.
  struct Phases {
    metrics::Histogram& claim;       // of all its addresses
    metrics::Histogram& link;        // made, in the pod's namespace
    metrics::Histogram& configure;   // addresses, neighbours, routes, up
    metrics::Histogram& host_ports;  // of pods that have some
    metrics::Histogram& announce;    // handed over: sent in the background
  };

  // Sets pinion_ipam_addresses for a pool; null: to nothing.
  static void Show(metrics::Registry& registry, const ipam::Pool* pool,
                   const std::string& name);

  metrics::Histogram& allocation_seconds;
  metrics::Histogram& attach_seconds;
  const Phases phase_seconds;
  metrics::Counter& attach_failures;
  metrics::Counter& pools_set_aside;
  metrics::Gauge& ready;

 private:
  // Shared with the registry's callback, which lives longer.
  struct Pools {
    absl::Mutex mutex;
    std::vector<std::shared_ptr<const ipam::Pool>> pools ABSL_GUARDED_BY(mutex);
  };

  static metrics::Histogram& PhaseSeconds(metrics::Registry& registry,
                                          const char* phase);

  metrics::Registry& registry_;
  const std::shared_ptr<Pools> pools_;
};

}  // namespace pinion::network

#endif  // PINION_NETWORK_NETWORK_METRICS_H_
