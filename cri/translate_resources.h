// Resource limits, to the domain and back. Zero means "not set" on both
// sides; a value that the kernel could not take is refused before anything is
// made.
//
// Pure functions.

#ifndef PINION_CRI_TRANSLATE_RESOURCES_H_
#define PINION_CRI_TRANSLATE_RESOURCES_H_

#include "absl/status/statusor.h"
#include "cri/api.h"
#include "cri/field.h"
#include "state.pb.h"

namespace pinion::cri {

// Ranges (sched-bwc.rst, cgroup-v2.rst, cpuset(7), proc(5)):
//   cpu_period    1000 … 1000000 µs      cpu_quota  -1 or ≥ 1000 µs
//   cpu_shares    ≥ 2, more than 262144 counts as that
//   memory_limit  > 0                    memory_swap_limit  -1 or ≥ the limit
//   oom_score_adj -1000 … 1000
//   hugepages     a power of two with KB, MB or GB, each size once
//   unified       file names of a controller; never cgroup.*, which would
//                 steer the tree itself
absl::StatusOr<state::Resources> ToResources(
    const Field& field, const api::LinuxContainerResources& in);

// The same for an update, where what is not set stays as it is: a swap limit
// may come without a memory limit (the one in force counts).
absl::StatusOr<state::Resources> ToResourceChanges(
    const Field& field, const api::LinuxContainerResources& in);

void FromResources(const state::Resources& in,
                   api::LinuxContainerResources* out);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_RESOURCES_H_
