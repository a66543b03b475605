// Usage, from the domain to the CRI's statistics.
//
// Pure functions. What was not to be had stays unset: the kubelet must not
// take for zero what nobody counted.

#ifndef PINION_CRI_TRANSLATE_STATS_H_
#define PINION_CRI_TRANSLATE_STATS_H_

#include <optional>
#include <string>
#include <string_view>

#include "cri/api.h"
#include "runtime/usage.h"

namespace pinion::cri {

void ToContainerStats(const runtime::ContainerUsage& usage,
                      api::ContainerStats* out);
// With its containers, as the list of them would show them.
void ToPodSandboxStats(const runtime::PodUsage& usage,
                       api::PodSandboxStats* out);

// memory.current without the page cache that nobody used lately, which the
// kernel drops first: what the kubelet evicts by.
std::optional<uint64_t> WorkingSet(const cgroup::Usage& usage);

// An interface's name, which may be any bytes, as text.
std::string InterfaceName(std::string_view name);

// Filters that are not set match everything; ids are prefixes.
bool Matches(const api::ContainerStatsFilter& filter,
             const state::ContainerRecord& container);
bool Matches(const api::PodSandboxStatsFilter& filter,
             const state::PodRecord& pod);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_STATS_H_
