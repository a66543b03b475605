// Security settings: users, groups, capabilities, paths; namespaces and
// profiles have files of their own.
//
// Pure functions.

#ifndef PINION_CRI_TRANSLATE_SECURITY_H_
#define PINION_CRI_TRANSLATE_SECURITY_H_

#include "absl/status/statusor.h"
#include "cri/api.h"
#include "cri/field.h"
#include "state.pb.h"

namespace pinion::cri {

// There is no sandbox process: user, groups, read-only rootfs and profiles of
// the sandbox have nobody to apply to. They are checked all the same.
absl::Status CheckSandboxSecurity(const Field& field,
                                  const api::LinuxSandboxSecurityContext& in);

// Rules from the CRI: run_as_group needs a user; run_as_user and
// run_as_username exclude each other.
absl::StatusOr<state::ContainerSecurity> ToContainerSecurity(
    const Field& field, const api::LinuxContainerSecurityContext& in);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_SECURITY_H_
