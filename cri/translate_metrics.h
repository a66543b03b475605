// The domain's usage as the CRI's metrics (metric_rows.h).
//
// Pure functions.

#ifndef PINION_CRI_TRANSLATE_METRICS_H_
#define PINION_CRI_TRANSLATE_METRICS_H_

#include "cri/api.h"
#include "runtime/usage.h"

namespace pinion::cri {

// All 56, each with the labels container, id, image, name, namespace, pod and
// its own, in that order.
void ToMetricDescriptors(api::ListMetricDescriptorsResponse* out);

// Of the pod itself (`container`, `image` and `name` empty, as cAdvisor has
// it) and of each container that runs. `usage` is of UsageDetail::kMetrics.
void ToPodSandboxMetrics(const runtime::PodUsage& usage,
                         api::PodSandboxMetrics* out);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_METRICS_H_
