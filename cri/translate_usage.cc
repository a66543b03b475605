#include "cri/translate_usage.h"

#include <optional>

namespace pinion::cri {
namespace {

using cgroup::OptionalCount;

void ToStall(const cgroup::Stall& stall, admin::v1::Stall* out) {
  out->set_avg10(stall.avg10);
  out->set_avg60(stall.avg60);
  out->set_total_us(stall.total_us);
}

void ToPressure(const cgroup::Pressure& pressure, admin::v1::Pressure* out) {
  if (pressure.some) ToStall(*pressure.some, out->mutable_some());
  if (pressure.full) ToStall(*pressure.full, out->mutable_full());
}

bool IsLimit(const OptionalCount& count) {
  return count && *count != cgroup::kNoLimit;
}

void ToCounts(const cgroup::Usage& usage, admin::v1::CgroupUsage* out) {
  const cgroup::CpuStat& cpu = usage.cpu;
  if (cpu.usage_us) out->set_cpu_usage_us(*cpu.usage_us);
  if (cpu.periods) out->set_cpu_periods(*cpu.periods);
  if (cpu.throttled_periods) {
    out->set_cpu_throttled_periods(*cpu.throttled_periods);
  }
  if (cpu.throttled_us) out->set_cpu_throttled_us(*cpu.throttled_us);
  if (usage.memory_current) out->set_memory_bytes(*usage.memory_current);
  if (IsLimit(usage.memory_max)) {
    out->set_memory_max_bytes(*usage.memory_max);
  }
  if (usage.swap_current) out->set_swap_bytes(*usage.swap_current);
  out->set_processes(usage.processes.size());
  if (usage.cpu_pressure) {
    ToPressure(*usage.cpu_pressure, out->mutable_cpu_pressure());
  }
  if (usage.memory_pressure) {
    ToPressure(*usage.memory_pressure, out->mutable_memory_pressure());
  }
  if (usage.io_pressure) {
    ToPressure(*usage.io_pressure, out->mutable_io_pressure());
  }
}

void ToDetails(const cgroup::Details& details, admin::v1::CgroupUsage* out) {
  if (IsLimit(details.cpu_max.quota_us) && details.cpu_max.period_us) {
    out->set_cpu_quota_us(*details.cpu_max.quota_us);
    out->set_cpu_period_us(*details.cpu_max.period_us);
  }
  if (IsLimit(details.memory_high)) {
    out->set_memory_high_bytes(*details.memory_high);
  }
  if (details.memory_events.oom_kills) {
    out->set_oom_kills(*details.memory_events.oom_kills);
  }
  if (details.threads) out->set_pids(*details.threads);
  if (IsLimit(details.threads_max)) out->set_pids_max(*details.threads_max);
}

void ToCgroupUsage(const runtime::CgroupUsage& usage,
                   admin::v1::CgroupUsage* out) {
  ToCounts(usage.usage, out);
  if (usage.details) ToDetails(*usage.details, out);
}

}  // namespace

void ToPodUsage(const runtime::PodUsage& usage, admin::v1::PodUsage* out) {
  out->set_id(usage.pod->id());
  out->set_name(usage.pod->spec().name());
  out->set_namespace_(usage.pod->spec().namespace_());
  if (usage.cgroup) ToCgroupUsage(*usage.cgroup, out->mutable_usage());
  for (const runtime::ContainerUsage& container : usage.containers) {
    if (!container.cgroup) continue;
    admin::v1::ContainerUsage* added = out->add_containers();
    added->set_id(container.container->id());
    added->set_name(container.container->spec().name());
    ToCgroupUsage(*container.cgroup, added->mutable_usage());
  }
}

}  // namespace pinion::cri
