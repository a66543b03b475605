#include "network/network_metrics.h"

#include <algorithm>
#include <utility>

namespace pinion::network {

NetworkMetrics::NetworkMetrics(metrics::Registry& registry,
                               const std::string& mode)
    : allocation_seconds(
          registry.AddHistogram("pinion_ipam_allocation_seconds",
                                "Time to claim one address in its pool.",
                                metrics::FineLatencyBuckets())),
      attach_seconds(registry.AddHistogram(
          "pinion_network_attach_seconds",
          "Time to give a pod its interface and addresses.",
          metrics::LatencyBuckets())),
      phase_seconds{PhaseSeconds(registry, "claim"),
                    PhaseSeconds(registry, "link"),
                    PhaseSeconds(registry, "configure"),
                    PhaseSeconds(registry, "host_ports"),
                    PhaseSeconds(registry, "announce")},
      attach_failures(
          registry.AddCounter("pinion_network_attach_failures_total",
                              "Pods that could not be given their interface.")),
      pools_set_aside(registry.AddCounter(
          "pinion_ipam_pools_set_aside_total",
          "Pool files that were damaged or foreign: kept under another name "
          "and made anew from the records.")),
      ready(registry.AddGauge("pinion_network_ready",
                              "1 while pods can be attached, otherwise 0.",
                              {{"mode", mode}})),
      registry_(registry),
      pools_(std::make_shared<Pools>()) {
  registry.OnScrape([&registry, pools = std::weak_ptr(pools_)] {
    const std::shared_ptr<Pools> alive = pools.lock();
    if (alive == nullptr) return;
    absl::MutexLock lock(&alive->mutex);
    for (const auto& pool : alive->pools) {
      Show(registry, pool.get(), pool->range().name());
    }
  });
}

NetworkMetrics::~NetworkMetrics() { SetPools({}); }

void NetworkMetrics::SetPools(
    std::vector<std::shared_ptr<const ipam::Pool>> pools) {
  absl::MutexLock lock(&pools_->mutex);
  for (const auto& former : pools_->pools) {
    Show(registry_, nullptr, former->range().name());
  }
  // At 0 from the start: an alert sees the first one, too.
  for (const auto& pool : pools) {
    ExhaustedOf(registry_, pool->range().name());
    DuplicatesOf(registry_, pool->range().name());
  }
  pools_->pools = std::move(pools);
}

metrics::Histogram& NetworkMetrics::PhaseSeconds(metrics::Registry& registry,
                                                 const char* phase) {
  return registry.AddHistogram(
      "pinion_network_attach_phase_seconds",
      "Time of the phases of giving a pod its interface and addresses.",
      metrics::LatencyBuckets(), {{"phase", phase}});
}

metrics::Counter& NetworkMetrics::ExhaustedOf(metrics::Registry& registry,
                                              const std::string& pool) {
  return registry.AddCounter("pinion_ipam_exhausted_total",
                             "Claims that found no free address.",
                             {{"pool", pool}});
}

metrics::Counter& NetworkMetrics::DuplicatesOf(metrics::Registry& registry,
                                               const std::string& pool) {
  return registry.AddCounter(
      "pinion_ipam_duplicates_total",
      "Addresses that another station had when a pod was to get them.",
      {{"pool", pool}});
}

void NetworkMetrics::Show(metrics::Registry& registry, const ipam::Pool* pool,
                          const std::string& name) {
  const ipam::Usage usage = pool == nullptr ? ipam::Usage{} : pool->GetUsage();
  const auto set = [&](const std::string& state, uint64_t value) {
    registry
        .AddGauge("pinion_ipam_addresses",
                  "Addresses of a pool: all that pods may have (capacity), "
                  "in use, released but not yet usable again (cooling), and "
                  "free now.",
                  {{"pool", name}, {"state", state}})
        .Set(static_cast<double>(value));
  };
  set("capacity", usage.capacity);
  set("in_use", usage.in_use);
  set("cooling", usage.cooling);
  set("free",
      usage.capacity - std::min(usage.capacity, usage.in_use + usage.cooling));
}

}  // namespace pinion::network
