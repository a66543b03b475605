// What is asked of a sandbox, from the CRI to the domain.
//
// Pure functions.

#ifndef PINION_CRI_TRANSLATE_SANDBOX_H_
#define PINION_CRI_TRANSLATE_SANDBOX_H_

#include "absl/status/statusor.h"
#include "cri/api.h"
#include "state.pb.h"

namespace pinion::cri {

// Checks every field of the request; InvalidArgument names the first that is
// wrong, Unimplemented one that pinion cannot honour yet. Whether the handler
// exists, the cgroup parent suits the driver and the sysctls are allowed is
// for the runtime to say.
absl::StatusOr<state::PodSpec> ToPodSpec(
    const api::RunPodSandboxRequest& request);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_SANDBOX_H_
