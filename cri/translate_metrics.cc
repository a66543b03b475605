#include "cri/translate_metrics.h"

#include <array>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cri/metric_rows.h"

namespace pinion::cri {
namespace {

constexpr char kPrefix[] = "container_";
constexpr std::array kCommonKeys = {"container", "id",        "image",
                                    "name",      "namespace", "pod"};

using Repeated = google::protobuf::RepeatedPtrField<api::Metric>;

void AddSamples(std::span<const MetricRow> rows, const MetricSubject& subject,
                const std::array<std::string, kCommonKeys.size()>& common,
                Repeated* out) {
  for (const MetricRow& row : rows) {
    for (Sample& sample : row.read(subject)) {
      api::Metric* metric = out->Add();
      metric->set_name(absl::StrCat(kPrefix, row.name));
      metric->set_metric_type(row.type);
      for (const std::string& value : common) metric->add_label_values(value);
      for (std::string& value : sample.labels) {
        metric->add_label_values(std::move(value));
      }
      metric->mutable_value()->set_value(sample.value);
    }
  }
}

void AddContainer(const runtime::ContainerUsage& usage,
                  const state::PodSpec& pod, api::PodSandboxMetrics* out) {
  if (!usage.cgroup || !usage.cgroup->details) return;
  const state::ContainerSpec& spec = usage.container->spec();
  const std::string& image = spec.user_specified_image().empty()
                                 ? usage.container->image_ref()
                                 : spec.user_specified_image();
  api::ContainerMetrics* container = out->add_container_metrics();
  container->set_container_id(usage.container->id());
  const MetricSubject subject{.container = &usage, .cgroup = &*usage.cgroup};
  for (const auto rows :
       {CgroupMetricRows(), SpecMetricRows(), ObjectMetricRows()}) {
    AddSamples(rows, subject,
               {spec.name(), usage.cgroup_path, image, usage.container->id(),
                pod.namespace_(), pod.name()},
               container->mutable_metrics());
  }
}

}  // namespace

void ToMetricDescriptors(api::ListMetricDescriptorsResponse* out) {
  for (const auto rows :
       {CgroupMetricRows(), SpecMetricRows(), ObjectMetricRows()}) {
    for (const MetricRow& row : rows) {
      api::MetricDescriptor* descriptor = out->add_descriptors();
      descriptor->set_name(absl::StrCat(kPrefix, row.name));
      descriptor->set_help(row.help);
      for (const char* key : kCommonKeys) descriptor->add_label_keys(key);
      for (const char* key : row.label_keys) descriptor->add_label_keys(key);
    }
  }
}

void ToPodSandboxMetrics(const runtime::PodUsage& usage,
                         api::PodSandboxMetrics* out) {
  const state::PodSpec& spec = usage.pod->spec();
  out->set_pod_sandbox_id(usage.pod->id());
  if (usage.cgroup && usage.cgroup->details) {
    const MetricSubject subject{.pod = &usage, .cgroup = &*usage.cgroup};
    for (const auto rows : {CgroupMetricRows(), ObjectMetricRows()}) {
      AddSamples(
          rows, subject,
          {"", usage.pod->cgroup(), "", "", spec.namespace_(), spec.name()},
          out->mutable_metrics());
    }
  }
  for (const runtime::ContainerUsage& container : usage.containers) {
    AddContainer(container, spec, out);
  }
}

}  // namespace pinion::cri
