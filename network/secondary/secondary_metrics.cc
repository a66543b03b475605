#include "network/secondary/secondary_metrics.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "network/network_metrics.h"

namespace pinion::network {
namespace {

// The label "pool", as `pinionctl ips` shows it.
std::string PoolLabel(const std::string& network, const ipam::IpRange& range) {
  return absl::StrCat(network, ":", range.name());
}

}  // namespace

SecondaryMetrics::SecondaryMetrics(metrics::Registry& registry)
    : attach_seconds(registry.AddHistogram(
          "pinion_secondary_attach_seconds",
          "Time to give a pod the further interfaces it asks for.",
          metrics::LatencyBuckets())),
      attach_failures(registry.AddCounter(
          "pinion_secondary_attach_failures_total",
          "Pods that could not be given their further interfaces.")),
      registry_(registry),
      pools_(std::make_shared<Pools>()) {
  registry.OnScrape([&registry, pools = std::weak_ptr(pools_)] {
    const std::shared_ptr<Pools> alive = pools.lock();
    if (alive == nullptr) return;
    const absl::MutexLock lock(&alive->mutex);
    for (const auto& [network, its] : alive->pools) {
      for (const auto& pool : its) {
        NetworkMetrics::Show(registry, pool.get(),
                             PoolLabel(network, pool->range()));
      }
    }
  });
}

void SecondaryMetrics::ShowReady(const std::string& network, bool ready) {
  registry_
      .AddGauge("pinion_secondary_network_ready",
                "1 while pods can have interfaces on this network, otherwise "
                "0.",
                {{"network", network}})
      .Set(ready ? 1 : 0);
}

void SecondaryMetrics::SetPools(
    const std::string& network,
    std::vector<std::shared_ptr<const ipam::Pool>> pools) {
  const absl::MutexLock lock(&pools_->mutex);
  pools_->pools[network] = std::move(pools);
}

metrics::Counter& SecondaryMetrics::ExhaustedOf(const std::string& network,
                                                const ipam::IpRange& range) {
  return NetworkMetrics::ExhaustedOf(registry_, PoolLabel(network, range));
}

}  // namespace pinion::network
