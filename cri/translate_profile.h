// Seccomp and AppArmor profiles. The deprecated seccomp_profile_path and
// apparmor_profile ("runtime/default", "unconfined", "localhost/NAME") count
// where `seccomp` and `apparmor` are absent; with neither, the profile stays
// absent and the configuration's default applies.
//
// Pure functions.

#ifndef PINION_CRI_TRANSLATE_PROFILE_H_
#define PINION_CRI_TRANSLATE_PROFILE_H_

#include "absl/status/status.h"
#include "cri/api.h"
#include "cri/field.h"
#include "state.pb.h"

namespace pinion::cri {

absl::Status SetProfiles(const Field& field,
                         const api::LinuxContainerSecurityContext& in,
                         state::ContainerSecurity* out);

absl::Status CheckSandboxProfiles(const Field& field,
                                  const api::LinuxSandboxSecurityContext& in);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_PROFILE_H_
