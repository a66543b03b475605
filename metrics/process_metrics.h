// What every Prometheus client tells of its process, and which build it is.
//
// Thread-safe.

#ifndef PINION_METRICS_PROCESS_METRICS_H_
#define PINION_METRICS_PROCESS_METRICS_H_

#include <string>

#include "metrics/metrics.h"

namespace pinion::metrics {

// process_{cpu_seconds_total,resident_memory_bytes,virtual_memory_bytes,
// open_fds,max_fds,start_time_seconds,threads}, read from /proc at each
// scrape. Call once.
void AddProcessMetrics(Registry& registry);

// pinion_build_info{version,commit} = 1.
void AddBuildInfo(Registry& registry, const std::string& version,
                  const std::string& commit);

}  // namespace pinion::metrics

#endif  // PINION_METRICS_PROCESS_METRICS_H_
