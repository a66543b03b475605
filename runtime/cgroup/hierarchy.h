// Where the v2 hierarchy is, found in mountinfo; the pure part of
// FindHierarchy (pod_cgroup.h).
//
// Thread-safe.

#ifndef PINION_RUNTIME_CGROUP_HIERARCHY_H_
#define PINION_RUNTIME_CGROUP_HIERARCHY_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "runtime/cgroup/pod_cgroup.h"

namespace pinion::cgroup {

// `mountinfo` as in proc(5). `controllers` of the result is left empty.
// FailedPrecondition, with the remedy, if nothing of v2 is mounted.
absl::StatusOr<Hierarchy> ParseHierarchy(std::string_view mountinfo);

// What a person can do about a controller that is missing at the root.
std::string MissingControllerRemedy(const Hierarchy& hierarchy,
                                    const std::string& controller);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_HIERARCHY_H_
