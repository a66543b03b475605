// The metrics of ListMetricDescriptors and ListPodSandboxMetrics, one row
// each: what it is called, which labels it has, and how its value comes from
// the kernel's numbers. Names, labels and meaning are cAdvisor's, so that
// dashboards made for the kubelet's /metrics/cadvisor go on working.
//
// The CRI carries whole numbers: seconds lose their fractions.
//
// Thread-safe: constant tables of pure functions.

#ifndef PINION_CRI_METRIC_ROWS_H_
#define PINION_CRI_METRIC_ROWS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cri/api.h"
#include "runtime/usage.h"

namespace pinion::cri {

// Of whom a row is asked: a container (`container` is set) or a pod (`pod` is
// set). `cgroup` is the one's or the other's, with details.
struct MetricSubject {
  const runtime::ContainerUsage* container = nullptr;
  const runtime::PodUsage* pod = nullptr;
  const runtime::CgroupUsage* cgroup = nullptr;
};

struct Sample {
  uint64_t value = 0;
  // In the order of the row's label keys.
  std::vector<std::string> labels = {};
};
using Samples = std::vector<Sample>;

struct MetricRow {
  const char* name;  // without "container_"
  const char* help;
  api::MetricType type;
  // Beside the labels that every metric has.
  std::vector<const char*> label_keys;
  // None where the kernel does not say.
  Samples (*read)(const MetricSubject& subject);
};

// Read from files of the cgroup: both of containers and of pods.
std::span<const MetricRow> CgroupMetricRows();
// The limits in the cgroup's files; of containers.
std::span<const MetricRow> SpecMetricRows();
// Processes, file systems, network, times.
std::span<const MetricRow> ObjectMetricRows();

}  // namespace pinion::cri

#endif  // PINION_CRI_METRIC_ROWS_H_
