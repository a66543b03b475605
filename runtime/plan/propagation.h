// Whether a host path can be mounted with the propagation that is asked.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_PROPAGATION_H_
#define PINION_RUNTIME_PLAN_PROPAGATION_H_

#include <string>

#include "absl/status/status.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::plan {

// CRI, MountPropagation: with bidirectional propagation the source must be
// on a shared mount, with host-to-container on a shared or slave one; else
// nothing would ever propagate. FailedPrecondition names the mount that is
// not. `source` exists; links in it are followed.
absl::Status CheckPropagation(const std::string& source,
                              launch::Propagation propagation);

// The same, against a given mountinfo (proc(5)); `source` is a real path.
absl::Status CheckPropagationIn(const std::string& mountinfo,
                                const std::string& source,
                                launch::Propagation propagation);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_PROPAGATION_H_
