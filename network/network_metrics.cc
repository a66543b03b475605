#include "network/network_metrics.h"

#include <utility>

namespace pinion::network {

NetworkMetrics::NetworkMetrics(metrics::Registry& registry)
    : allocation_seconds(
          registry.AddHistogram("pinion_ipam_allocation_seconds",
                                "Time to claim one address in its pool.",
                                metrics::FineLatencyBuckets())),
      attach_seconds(registry.AddHistogram(
          "pinion_network_attach_seconds",
          "Time to give a pod its interface and addresses.",
          metrics::LatencyBuckets())),
      attach_failures(
          registry.AddCounter("pinion_network_attach_failures_total",
                              "Pods that could not be given their interface.")),
      exhausted(registry.AddCounter("pinion_ipam_exhausted_total",
                                    "Claims that found no free address.")),
      pools_set_aside(registry.AddCounter(
          "pinion_ipam_pools_set_aside_total",
          "Pool files that were damaged or foreign: kept under another name "
          "and made anew from the records.")),
      ready(registry.AddGauge("pinion_network_ready",
                              "1 while pods can be attached, otherwise 0.")),
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
  pools_->pools = std::move(pools);
}

void NetworkMetrics::Show(metrics::Registry& registry, const ipam::Pool* pool,
                          const std::string& name) {
  const ipam::Usage usage = pool == nullptr ? ipam::Usage{} : pool->GetUsage();
  const auto set = [&](const std::string& state, uint64_t value) {
    registry
        .AddGauge("pinion_ipam_addresses",
                  "Addresses of a pool: all that pods may have (capacity), "
                  "in use, and released but not yet usable again (cooling).",
                  {{"pool", name}, {"state", state}})
        .Set(static_cast<double>(value));
  };
  set("capacity", usage.capacity);
  set("in_use", usage.in_use);
  set("cooling", usage.cooling);
}

}  // namespace pinion::network
