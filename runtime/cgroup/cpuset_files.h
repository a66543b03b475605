// What a cgroup's cpuset says, and what is in force of it: the kernel takes
// almost any list, and gives what the cgroup above has of it.
//
// Thread-safe. Source: Documentation/admin-guide/cgroup-v2.rst, "Cpuset".

#ifndef PINION_RUNTIME_CGROUP_CPUSET_FILES_H_
#define PINION_RUNTIME_CGROUP_CPUSET_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/cpu_set.h"

namespace pinion::cgroup {

inline constexpr char kCpus[] = "cpuset.cpus";
inline constexpr char kMems[] = "cpuset.mems";

// kCpus or kMems.
bool IsCpuset(const std::string& file);

// `file` + ".effective" of the cgroup open as `dir`. Of an empty list, and of
// one of which nothing is to be had, it is all that the cgroup above has.
absl::StatusOr<CpuSet> InForce(int dir, const std::string& file);
// The same of the cgroup above it: what is to be had.
absl::StatusOr<CpuSet> InForceAbove(int dir, const std::string& file);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_CPUSET_FILES_H_
