#include "absl/strings/str_cat.h"
#include "cri/metric_rows.h"
#include "cri/translate_stats.h"

namespace pinion::cri {
namespace {

using cgroup::OptionalCount;

constexpr uint64_t kMicrosPerSecond = 1'000'000;

Samples One(const OptionalCount& count) {
  if (!count) return {};
  return {{*count}};
}

Samples Seconds(const OptionalCount& micros) {
  if (!micros) return {};
  return {{*micros / kMicrosPerSecond}};
}

// cAdvisor shows "no limit" as 0.
Samples Limit(const OptionalCount& limit) {
  if (!limit) return {};
  return {{*limit == cgroup::kNoLimit ? 0 : *limit}};
}

const cgroup::Usage& Usage(const MetricSubject& subject) {
  return subject.cgroup->usage;
}
const cgroup::Details& Details(const MetricSubject& subject) {
  return *subject.cgroup->details;
}

Samples Waiting(const std::optional<cgroup::Pressure>& pressure) {
  if (!pressure || !pressure->some) return {};
  return Seconds(pressure->some->total_us);
}
Samples Stalled(const std::optional<cgroup::Pressure>& pressure) {
  if (!pressure || !pressure->full) return {};
  return Seconds(pressure->full->total_us);
}

// memory.stat counts everything below; the leaf of a container is its own
// hierarchy, so both scopes have the one number.
Samples MemoryFailures(const MetricSubject& subject) {
  Samples samples;
  const cgroup::MemoryStat& memory = Usage(subject).memory;
  for (const char* scope : {"container", "hierarchy"}) {
    if (memory.page_faults) {
      samples.push_back({*memory.page_faults, {"pgfault", scope}});
    }
    if (memory.major_page_faults) {
      samples.push_back({*memory.major_page_faults, {"pgmajfault", scope}});
    }
  }
  return samples;
}

Samples PerDevice(const MetricSubject& subject,
                  OptionalCount cgroup::IoDevice::*counter) {
  Samples samples;
  const std::vector<cgroup::IoDevice>& devices = Details(subject).io;
  for (size_t i = 0; i < devices.size(); ++i) {
    const OptionalCount& count = devices[i].*counter;
    if (!count) continue;
    samples.push_back({*count, {subject.cgroup->io_names[i]}});
  }
  return samples;
}

Samples DeviceUsage(const MetricSubject& subject) {
  Samples samples;
  const std::vector<cgroup::IoDevice>& devices = Details(subject).io;
  for (size_t i = 0; i < devices.size(); ++i) {
    const cgroup::IoDevice& device = devices[i];
    const auto add = [&](const OptionalCount& bytes, const char* operation) {
      if (!bytes) return;
      samples.push_back(
          {*bytes,
           {subject.cgroup->io_names[i], absl::StrCat(device.major),
            absl::StrCat(device.minor), operation}});
    };
    add(device.read_bytes, "Read");
    add(device.written_bytes, "Write");
    add(device.discarded_bytes, "Discard");
  }
  return samples;
}

Samples HugePageUsage(const MetricSubject& subject) {
  Samples samples;
  for (const cgroup::HugePages& pages : Details(subject).huge_pages) {
    samples.push_back({pages.current, {pages.page_size}});
  }
  return samples;
}

// The inverse of limit_files.h's CpuWeightFromShares.
Samples CpuShares(const MetricSubject& subject) {
  const OptionalCount& weight = Details(subject).cpu_weight;
  if (!weight || *weight == 0) return {};
  return {{2 + (*weight - 1) * 262'142 / 9'999}};
}

Samples CpuQuota(const MetricSubject& subject) {
  const OptionalCount& quota = Details(subject).cpu_max.quota_us;
  if (!quota || *quota == cgroup::kNoLimit) return {};
  return {{*quota}};
}

using S = const MetricSubject&;

const std::vector<MetricRow>& CpuRows() {
  static const auto* const kRows = new std::vector<MetricRow>{
      {"cpu_usage_seconds_total",
       "CPU time used, in seconds.",
       api::COUNTER,
       {"cpu"},
       [](S s) -> Samples {
         Samples samples = Seconds(Usage(s).cpu.usage_us);
         for (Sample& sample : samples) sample.labels = {"total"};
         return samples;
       }},
      {"cpu_user_seconds_total",
       "CPU time used in user mode, in seconds.",
       api::COUNTER,
       {},
       [](S s) { return Seconds(Usage(s).cpu.user_us); }},
      {"cpu_system_seconds_total",
       "CPU time used by the kernel, in seconds.",
       api::COUNTER,
       {},
       [](S s) { return Seconds(Usage(s).cpu.system_us); }},
      {"cpu_cfs_periods_total",
       "Periods of the CPU limit that have passed.",
       api::COUNTER,
       {},
       [](S s) { return One(Usage(s).cpu.periods); }},
      {"cpu_cfs_throttled_periods_total",
       "Periods in which the CPU limit was reached.",
       api::COUNTER,
       {},
       [](S s) { return One(Usage(s).cpu.throttled_periods); }},
      {"cpu_cfs_throttled_seconds_total",
       "Time spent held back by the CPU limit, in seconds.",
       api::COUNTER,
       {},
       [](S s) { return Seconds(Usage(s).cpu.throttled_us); }},
  };
  return *kRows;
}

const std::vector<MetricRow>& MemoryRows() {
  static const auto* const kRows = new std::vector<MetricRow>{
      {"memory_cache",
       "Page cache, in bytes.",
       api::GAUGE,
       {},
       [](S s) { return One(Usage(s).memory.file); }},
      {"memory_rss",
       "Anonymous memory, in bytes.",
       api::GAUGE,
       {},
       [](S s) { return One(Usage(s).memory.anon); }},
      {"memory_kernel_usage",
       "Memory of the kernel, in bytes.",
       api::GAUGE,
       {},
       [](S s) { return One(Usage(s).memory.kernel); }},
      {"memory_mapped_file",
       "Memory of mapped files, in bytes.",
       api::GAUGE,
       {},
       [](S s) { return One(Usage(s).memory.file_mapped); }},
      {"memory_swap",
       "Swap in use, in bytes.",
       api::GAUGE,
       {},
       [](S s) { return One(Usage(s).swap_current); }},
      {"memory_failcnt",
       "How often the memory limit was reached.",
       api::COUNTER,
       {},
       [](S s) { return One(Details(s).memory_events.max); }},
      {"memory_usage_bytes",
       "Memory in use with the page cache, in bytes.",
       api::GAUGE,
       {},
       [](S s) { return One(Usage(s).memory_current); }},
      {"memory_max_usage_bytes",
       "The most memory that was in use, in bytes.",
       api::GAUGE,
       {},
       [](S s) { return One(Details(s).memory_peak); }},
      {"memory_working_set_bytes",
       "Memory in use without page cache not used lately, in bytes.",
       api::GAUGE,
       {},
       [](S s) { return One(WorkingSet(Usage(s))); }},
      {"memory_failures_total",
       "Page faults.",
       api::COUNTER,
       {"failure_type", "scope"},
       MemoryFailures},
      {"oom_events_total",
       "Processes killed for want of memory.",
       api::COUNTER,
       {},
       [](S s) { return One(Details(s).memory_events.oom_kills); }},
      {"hugetlb_usage_bytes",
       "Huge pages in use, in bytes.",
       api::GAUGE,
       {"pagesize"},
       HugePageUsage},
  };
  return *kRows;
}

const std::vector<MetricRow>& IoRows() {
  static const auto* const kRows = new std::vector<MetricRow>{
      {"fs_reads_total",
       "Reads from the device.",
       api::COUNTER,
       {"device"},
       [](S s) { return PerDevice(s, &cgroup::IoDevice::reads); }},
      {"fs_reads_bytes_total",
       "Bytes read from the device.",
       api::COUNTER,
       {"device"},
       [](S s) { return PerDevice(s, &cgroup::IoDevice::read_bytes); }},
      {"fs_writes_total",
       "Writes to the device.",
       api::COUNTER,
       {"device"},
       [](S s) { return PerDevice(s, &cgroup::IoDevice::writes); }},
      {"fs_writes_bytes_total",
       "Bytes written to the device.",
       api::COUNTER,
       {"device"},
       [](S s) { return PerDevice(s, &cgroup::IoDevice::written_bytes); }},
      {"blkio_device_usage_total",
       "Bytes moved to and from the device.",
       api::COUNTER,
       {"device", "major", "minor", "operation"},
       DeviceUsage},
      {"pressure_cpu_stalled_seconds_total",
       "Time in which all tasks waited for a CPU, in seconds.",
       api::COUNTER,
       {},
       [](S s) { return Stalled(Usage(s).cpu_pressure); }},
      {"pressure_cpu_waiting_seconds_total",
       "Time in which some task waited for a CPU, in seconds.",
       api::COUNTER,
       {},
       [](S s) { return Waiting(Usage(s).cpu_pressure); }},
      {"pressure_memory_stalled_seconds_total",
       "Time in which all tasks waited for memory, in seconds.",
       api::COUNTER,
       {},
       [](S s) { return Stalled(Usage(s).memory_pressure); }},
      {"pressure_memory_waiting_seconds_total",
       "Time in which some task waited for memory, in seconds.",
       api::COUNTER,
       {},
       [](S s) { return Waiting(Usage(s).memory_pressure); }},
      {"pressure_io_stalled_seconds_total",
       "Time in which all tasks waited for I/O, in seconds.",
       api::COUNTER,
       {},
       [](S s) { return Stalled(Usage(s).io_pressure); }},
      {"pressure_io_waiting_seconds_total",
       "Time in which some task waited for I/O, in seconds.",
       api::COUNTER,
       {},
       [](S s) { return Waiting(Usage(s).io_pressure); }},
      {"processes",
       "Processes that run.",
       api::GAUGE,
       {},
       [](S s) -> Samples { return {{Usage(s).processes.size()}}; }},
      {"threads",
       "Threads that run.",
       api::GAUGE,
       {},
       [](S s) { return One(Details(s).threads); }},
      {"threads_max",
       "Threads that may run; 0: no limit.",
       api::GAUGE,
       {},
       [](S s) { return Limit(Details(s).threads_max); }},
  };
  return *kRows;
}

}  // namespace

std::span<const MetricRow> CgroupMetricRows() {
  static const auto* const kRows = [] {
    auto* rows = new std::vector<MetricRow>(CpuRows());
    rows->insert(rows->end(), MemoryRows().begin(), MemoryRows().end());
    rows->insert(rows->end(), IoRows().begin(), IoRows().end());
    return rows;
  }();
  return *kRows;
}

std::span<const MetricRow> SpecMetricRows() {
  static const auto* const kRows = new std::vector<MetricRow>{
      {"spec_cpu_period",
       "Period of the CPU limit, in microseconds.",
       api::GAUGE,
       {},
       [](S s) { return One(Details(s).cpu_max.period_us); }},
      {"spec_cpu_quota",
       "CPU time in each period, in microseconds.",
       api::GAUGE,
       {},
       CpuQuota},
      {"spec_cpu_shares",
       "Weight in the share of CPU time.",
       api::GAUGE,
       {},
       CpuShares},
      {"spec_memory_limit_bytes",
       "Memory limit, in bytes; 0: none.",
       api::GAUGE,
       {},
       [](S s) { return Limit(Usage(s).memory_max); }},
      {"spec_memory_reservation_limit_bytes",
       "Memory protected from reclaim, in bytes.",
       api::GAUGE,
       {},
       [](S s) { return Limit(Details(s).memory_low); }},
      {"spec_memory_swap_limit_bytes",
       "Swap limit, in bytes; 0: none.",
       api::GAUGE,
       {},
       [](S s) { return Limit(Usage(s).swap_max); }},
  };
  return *kRows;
}

}  // namespace pinion::cri
