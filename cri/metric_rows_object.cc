#include "cri/metric_rows.h"
#include "cri/translate_stats.h"

namespace pinion::cri {
namespace {

using network::InterfaceCounters;
using S = const MetricSubject&;

constexpr int64_t kNanosPerSecond = 1'000'000'000;

Samples PerInterface(const MetricSubject& subject,
                     uint64_t InterfaceCounters::*counter) {
  if (subject.pod == nullptr || !subject.pod->interfaces) return {};
  Samples samples;
  for (const InterfaceCounters& one : *subject.pod->interfaces) {
    samples.push_back({one.*counter, {InterfaceName(one.name)}});
  }
  return samples;
}

Samples OfFilesystem(const MetricSubject& subject,
                     uint64_t runtime::FilesystemSize::*number) {
  if (subject.container == nullptr || !subject.container->filesystem) return {};
  const runtime::FilesystemSize& size = *subject.container->filesystem;
  return {{size.*number, {size.device}}};
}

// Of the writable layer alone, unlike the size of what it is on.
Samples WritableBytes(const MetricSubject& subject) {
  if (subject.container == nullptr || !subject.container->filesystem ||
      !subject.container->writable) {
    return {};
  }
  return {{subject.container->writable->usage.used_bytes,
           {subject.container->filesystem->device}}};
}

Samples OfProcesses(const MetricSubject& subject,
                    uint64_t runtime::ProcessUsage::*number) {
  if (subject.container == nullptr || !subject.container->processes) return {};
  return {{(*subject.container->processes).*number}};
}

Samples OpenFilesLimit(const MetricSubject& subject) {
  if (subject.container == nullptr || !subject.container->processes) return {};
  const auto& limit = subject.container->processes->max_open_files;
  if (!limit || *limit == cgroup::kNoLimit) return {};
  return {{*limit, {"max_open_files"}}};
}

Samples HugePagePeaks(const MetricSubject& subject) {
  if (subject.container == nullptr) return {};
  Samples samples;
  for (const auto& [size, bytes] : subject.container->huge_page_peaks) {
    samples.push_back({bytes, {size}});
  }
  return samples;
}

Samples ToSeconds(int64_t nanos) {
  return {{static_cast<uint64_t>(nanos / kNanosPerSecond)}};
}

Samples StartTime(const MetricSubject& subject) {
  return ToSeconds(subject.container != nullptr
                       ? subject.container->container->started_at_ns()
                       : subject.pod->pod->created_at_ns());
}

Samples LastSeen(const MetricSubject& subject) {
  return ToSeconds(subject.container != nullptr ? subject.container->read_at_ns
                                                : subject.pod->read_at_ns);
}

const std::vector<MetricRow>& NetworkRows() {
  static const auto* const kRows = new std::vector<MetricRow>{
      {"network_receive_bytes_total",
       "Bytes received.",
       api::COUNTER,
       {"interface"},
       [](S s) { return PerInterface(s, &InterfaceCounters::rx_bytes); }},
      {"network_receive_packets_total",
       "Packets received.",
       api::COUNTER,
       {"interface"},
       [](S s) { return PerInterface(s, &InterfaceCounters::rx_packets); }},
      {"network_receive_packets_dropped_total",
       "Packets dropped while receiving.",
       api::COUNTER,
       {"interface"},
       [](S s) { return PerInterface(s, &InterfaceCounters::rx_dropped); }},
      {"network_receive_errors_total",
       "Errors while receiving.",
       api::COUNTER,
       {"interface"},
       [](S s) { return PerInterface(s, &InterfaceCounters::rx_errors); }},
      {"network_transmit_bytes_total",
       "Bytes sent.",
       api::COUNTER,
       {"interface"},
       [](S s) { return PerInterface(s, &InterfaceCounters::tx_bytes); }},
      {"network_transmit_packets_total",
       "Packets sent.",
       api::COUNTER,
       {"interface"},
       [](S s) { return PerInterface(s, &InterfaceCounters::tx_packets); }},
      {"network_transmit_packets_dropped_total",
       "Packets dropped while sending.",
       api::COUNTER,
       {"interface"},
       [](S s) { return PerInterface(s, &InterfaceCounters::tx_dropped); }},
      {"network_transmit_errors_total",
       "Errors while sending.",
       api::COUNTER,
       {"interface"},
       [](S s) { return PerInterface(s, &InterfaceCounters::tx_errors); }},
  };
  return *kRows;
}

const std::vector<MetricRow>& ContainerRows() {
  using runtime::FilesystemSize;
  using runtime::ProcessUsage;
  static const auto* const kRows = new std::vector<MetricRow>{
      {"fs_inodes_free",
       "Inodes free on the file system.",
       api::GAUGE,
       {"device"},
       [](S s) { return OfFilesystem(s, &FilesystemSize::inodes_free); }},
      {"fs_inodes_total",
       "Inodes of the file system.",
       api::GAUGE,
       {"device"},
       [](S s) { return OfFilesystem(s, &FilesystemSize::inodes); }},
      {"fs_limit_bytes",
       "Size of the file system, in bytes.",
       api::GAUGE,
       {"device"},
       [](S s) { return OfFilesystem(s, &FilesystemSize::bytes); }},
      {"fs_usage_bytes",
       "What the container wrote to it, in bytes.",
       api::GAUGE,
       {"device"},
       WritableBytes},
      {"file_descriptors",
       "Open file descriptors.",
       api::GAUGE,
       {},
       [](S s) { return OfProcesses(s, &ProcessUsage::descriptors); }},
      {"sockets",
       "Open sockets.",
       api::GAUGE,
       {},
       [](S s) { return OfProcesses(s, &ProcessUsage::sockets); }},
      {"ulimits_soft",
       "Soft limits of the container's first process.",
       api::GAUGE,
       {"ulimit"},
       OpenFilesLimit},
      {"hugetlb_max_usage_bytes",
       "The most huge pages that were seen in use, in bytes.",
       api::GAUGE,
       {"pagesize"},
       HugePagePeaks},
      {"start_time_seconds",
       "When it started, in seconds since the epoch.",
       api::GAUGE,
       {},
       StartTime},
      {"last_seen",
       "When it was looked at, in seconds since the epoch.",
       api::GAUGE,
       {},
       LastSeen},
  };
  return *kRows;
}

}  // namespace

std::span<const MetricRow> ObjectMetricRows() {
  static const auto* const kRows = [] {
    auto* rows = new std::vector<MetricRow>(NetworkRows());
    rows->insert(rows->end(), ContainerRows().begin(), ContainerRows().end());
    return rows;
  }();
  return *kRows;
}

}  // namespace pinion::cri
