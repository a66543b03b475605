// Which CPUs of its own a container asks for, where pinion pins by itself
// (cpu.policy = "static"; docs/cpu_pinning.md).
//
// Pure; thread-safe.

#ifndef PINION_RUNTIME_CPU_REQUEST_H_
#define PINION_RUNTIME_CPU_REQUEST_H_

#include <optional>

#include "absl/status/statusor.h"
#include "runtime/cpu/allocator.h"
#include "state.pb.h"

namespace pinion::runtime {

// Whether the caller itself says which CPUs: then pinion does not.
bool NamesCpus(const state::Resources& resources);
// Which: empty if it does not.
CpuSet NamedCpus(const state::Resources& resources);
// The same for the nodes of its memory.
bool NamesMemory(const state::Resources& resources);

// None: it runs in the shared pool. Asked for by a quota of whole CPUs, as
// Guaranteed pods have it (shares, if given, say the same number), or by the
// pod's annotations cpu.pinion.dev/…. InvalidArgument: an annotation is
// malformed or unknown, or `unified` names a file of partitions.
absl::StatusOr<std::optional<cpu::Request>> CpuRequestOf(
    const state::PodSpec& pod, const state::Resources& resources);

// Whether what was granted for one request is what `now` asks for, too: it may
// have been changed while nobody pinned. FailedPrecondition, or why there is no
// request: it is not.
absl::Status CheckStillAskedFor(
    const cpu::Grant& grant,
    const absl::StatusOr<std::optional<cpu::Request>>& now);

// Of the pod's annotation, whatever a container asks for.
cpu::Partition PartitionAskedFor(const state::PodSpec& pod);

// FailedPrecondition if the pod asks for CPUs by annotation, which only
// cpu.policy = "static" can give.
absl::Status RefuseCpuAnnotations(const state::PodSpec& pod);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_CPU_REQUEST_H_
