#include "cri/translate_stats.h"

#include <algorithm>

#include "cri/translate_image.h"
#include "cri/translate_metadata.h"

namespace pinion::cri {
namespace {

constexpr uint64_t kNanosPerMicro = 1000;

// How CNI plugins and pinion call a pod's first interface.
constexpr std::string_view kDefaultInterface = "eth0";

void Set(const cgroup::OptionalCount& count, auto mutable_value) {
  if (count) mutable_value()->set_value(*count);
}

void ToPsiData(const cgroup::Stall& stall, api::PsiData* out) {
  out->set_total(stall.total_us * kNanosPerMicro);
  out->set_avg10(stall.avg10);
  out->set_avg60(stall.avg60);
  out->set_avg300(stall.avg300);
}

void ToPsi(const cgroup::Pressure& pressure, api::PsiStats* out) {
  if (pressure.full) ToPsiData(*pressure.full, out->mutable_full());
  if (pressure.some) ToPsiData(*pressure.some, out->mutable_some());
}

void ToCpu(const runtime::CgroupUsage& cgroup, int64_t now,
           api::CpuUsage* out) {
  out->set_timestamp(now);
  if (cgroup.usage.cpu.usage_us) {
    out->mutable_usage_core_nano_seconds()->set_value(
        *cgroup.usage.cpu.usage_us * kNanosPerMicro);
  }
  Set(cgroup.nano_cores, [out] { return out->mutable_usage_nano_cores(); });
  if (cgroup.usage.cpu_pressure) {
    ToPsi(*cgroup.usage.cpu_pressure, out->mutable_psi());
  }
}

// What is left of a limit; absent without one.
cgroup::OptionalCount Left(const cgroup::OptionalCount& limit,
                           const cgroup::OptionalCount& used) {
  if (!limit || !used || *limit == cgroup::kNoLimit) return std::nullopt;
  return *limit - std::min(*limit, *used);
}

void ToMemory(const cgroup::Usage& usage, int64_t now, api::MemoryUsage* out) {
  out->set_timestamp(now);
  const auto working_set = WorkingSet(usage);
  Set(working_set, [out] { return out->mutable_working_set_bytes(); });
  Set(Left(usage.memory_max, working_set),
      [out] { return out->mutable_available_bytes(); });
  Set(usage.memory_current, [out] { return out->mutable_usage_bytes(); });
  Set(usage.memory.anon, [out] { return out->mutable_rss_bytes(); });
  Set(usage.memory.page_faults, [out] { return out->mutable_page_faults(); });
  Set(usage.memory.major_page_faults,
      [out] { return out->mutable_major_page_faults(); });
  if (usage.memory_pressure) {
    ToPsi(*usage.memory_pressure, out->mutable_psi());
  }
}

void ToIo(const cgroup::Usage& usage, int64_t now, api::IoUsage* out) {
  out->set_timestamp(now);
  ToPsi(*usage.io_pressure, out->mutable_psi());
}

void ToSwap(const cgroup::Usage& usage, int64_t now, api::SwapUsage* out) {
  out->set_timestamp(now);
  Set(Left(usage.swap_max, usage.swap_current),
      [out] { return out->mutable_swap_available_bytes(); });
  Set(usage.swap_current, [out] { return out->mutable_swap_usage_bytes(); });
}

void ToInterface(const network::InterfaceCounters& in,
                 api::NetworkInterfaceUsage* out) {
  out->set_name(InterfaceName(in.name));
  out->mutable_rx_bytes()->set_value(in.rx_bytes);
  out->mutable_rx_errors()->set_value(in.rx_errors);
  out->mutable_tx_bytes()->set_value(in.tx_bytes);
  out->mutable_tx_errors()->set_value(in.tx_errors);
}

// The default interface is eth0, or else the first.
void ToNetwork(const std::vector<network::InterfaceCounters>& interfaces,
               int64_t now, api::NetworkUsage* out) {
  out->set_timestamp(now);
  auto first = std::find_if(
      interfaces.begin(), interfaces.end(),
      [](const auto& one) { return one.name == kDefaultInterface; });
  if (first == interfaces.end()) first = interfaces.begin();
  for (auto one = interfaces.begin(); one != interfaces.end(); ++one) {
    ToInterface(*one, one == first ? out->mutable_default_interface()
                                   : out->add_interfaces());
  }
}

bool HasPrefix(const std::string& id, const std::string& prefix) {
  return id.compare(0, prefix.size(), prefix) == 0;
}

}  // namespace

std::optional<uint64_t> WorkingSet(const cgroup::Usage& usage) {
  if (!usage.memory_current) return std::nullopt;
  const uint64_t inactive = usage.memory.inactive_file.value_or(0);
  return *usage.memory_current - std::min(*usage.memory_current, inactive);
}

std::string InterfaceName(std::string_view name) {
  std::string text(name);
  for (char& c : text) {
    if (c <= ' ' || c > '~') c = '?';
  }
  return text;
}

void ToContainerStats(const runtime::ContainerUsage& usage,
                      api::ContainerStats* out) {
  const state::ContainerSpec& spec = usage.container->spec();
  api::ContainerAttributes* attributes = out->mutable_attributes();
  attributes->set_id(usage.container->id());
  attributes->mutable_metadata()->set_name(spec.name());
  attributes->mutable_metadata()->set_attempt(spec.attempt());
  *attributes->mutable_labels() = spec.labels();
  *attributes->mutable_annotations() = spec.annotations();
  const int64_t now = usage.read_at_ns;
  if (usage.writable) {
    ToFilesystemUsage(usage.writable->usage, usage.writable->read_at_ns,
                      out->mutable_writable_layer());
  }
  if (!usage.cgroup) return;
  ToCpu(*usage.cgroup, now, out->mutable_cpu());
  const cgroup::Usage& cgroup = usage.cgroup->usage;
  if (cgroup.memory_current || cgroup.memory_pressure) {
    ToMemory(cgroup, now, out->mutable_memory());
  }
  if (cgroup.swap_current) ToSwap(cgroup, now, out->mutable_swap());
  if (cgroup.io_pressure) ToIo(cgroup, now, out->mutable_io());
}

void ToPodSandboxStats(const runtime::PodUsage& usage,
                       api::PodSandboxStats* out) {
  const state::PodSpec& spec = usage.pod->spec();
  api::PodSandboxAttributes* attributes = out->mutable_attributes();
  attributes->set_id(usage.pod->id());
  api::PodSandboxMetadata* metadata = attributes->mutable_metadata();
  metadata->set_name(spec.name());
  metadata->set_uid(spec.uid());
  metadata->set_namespace_(spec.namespace_());
  metadata->set_attempt(spec.attempt());
  *attributes->mutable_labels() = spec.labels();
  *attributes->mutable_annotations() = spec.annotations();
  api::LinuxPodSandboxStats* linux = out->mutable_linux();
  const int64_t now = usage.read_at_ns;
  if (usage.cgroup) {
    ToCpu(*usage.cgroup, now, linux->mutable_cpu());
    const cgroup::Usage& cgroup = usage.cgroup->usage;
    if (cgroup.memory_current || cgroup.memory_pressure) {
      ToMemory(cgroup, now, linux->mutable_memory());
    }
    if (cgroup.io_pressure) ToIo(cgroup, now, linux->mutable_io());
    linux->mutable_process()->set_timestamp(now);
    linux->mutable_process()->mutable_process_count()->set_value(
        cgroup.processes.size());
  }
  if (usage.interfaces) {
    ToNetwork(*usage.interfaces, now, linux->mutable_network());
  }
  for (const runtime::ContainerUsage& container : usage.containers) {
    ToContainerStats(container, linux->add_containers());
  }
}

bool Matches(const api::ContainerStatsFilter& filter,
             const state::ContainerRecord& container) {
  return HasPrefix(container.id(), filter.id()) &&
         HasPrefix(container.pod_id(), filter.pod_sandbox_id()) &&
         MatchesLabels(filter.label_selector(), container.spec().labels());
}

bool Matches(const api::PodSandboxStatsFilter& filter,
             const state::PodRecord& pod) {
  return HasPrefix(pod.id(), filter.id()) &&
         MatchesLabels(filter.label_selector(), pod.spec().labels());
}

}  // namespace pinion::cri
