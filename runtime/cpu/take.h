// Which CPUs to take out of those that are free, so that what shares a
// socket, a NUMA node or a core stays together: whole sockets and nodes first,
// then whole cores, then what is left of cores that are broken already. The
// order is that of the kubelet's static CPU manager
// (pkg/kubelet/cm/cpumanager, "packed"), so that both give the same sets.
//
// Pure; thread-safe.

#ifndef PINION_RUNTIME_CPU_TAKE_H_
#define PINION_RUNTIME_CPU_TAKE_H_

#include <cstddef>
#include <optional>

#include "base/cpu_set.h"
#include "runtime/cpu/topology.h"

namespace pinion::cpu {

// None: fewer than `count` are free.
std::optional<CpuSet> TakeCpus(const Topology& topology, const CpuSet& free,
                               size_t count);

// Only cores whose CPUs are all free, and so many that they have at least
// `count` CPUs. All CPUs of these cores.
std::optional<CpuSet> TakeCores(const Topology& topology, const CpuSet& free,
                                size_t count);

}  // namespace pinion::cpu

#endif  // PINION_RUNTIME_CPU_TAKE_H_
