// A leaf as a cpuset partition of its own: its CPUs are taken from every other
// cgroup ("root"), and from the scheduler's balancing too ("isolated").
//
// Remote partitions only (Linux 6.7; cgroup-v2.rst, cpuset.cpus.exclusive): no
// cgroup above becomes a partition, but each lists the CPUs as exclusive.
// Before, every cgroup up to the root would have to be a partition itself, and
// the pod's monitor, which is below one of them, could not be on the reserved
// CPUs.
//
// Thread-safe; for one CPU there is one caller at a time.

#ifndef PINION_RUNTIME_CGROUP_PARTITION_H_
#define PINION_RUNTIME_CGROUP_PARTITION_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/cpu_set.h"

namespace pinion::cgroup {

// FailedPrecondition, with the reason, if a leaf of this pod's cgroup cannot
// be one: the kernel is too old, or the controller is not there.
absl::Status CheckPartitions(int pod_dir);

// `kind`: "isolated" or "root". cpuset.cpus is `cpus` already. It is no
// partition after an error, FailedPrecondition with the kernel's reason.
absl::Status MakePartition(int leaf, const CpuSet& cpus,
                           const std::string& kind);

// An ordinary cgroup again. Success if it was none.
absl::Status EndPartition(int leaf, const CpuSet& cpus);

// The CPUs are exclusive to nothing from `dir` up: for a leaf that is gone.
absl::Status GiveBackExclusive(int dir, const CpuSet& cpus);

// cpuset.cpus.partition: "member", "isolated", "isolated invalid (…)", ….
absl::StatusOr<std::string> PartitionOf(int leaf);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_PARTITION_H_
