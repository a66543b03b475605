// Localhost profiles: the JSON that Docker and OCI runtimes read.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_SECCOMP_JSON_H_
#define PINION_RUNTIME_PLAN_SECCOMP_JSON_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/plan/seccomp_profile.h"

namespace pinion::plan {

// Reads defaultAction, defaultErrnoRet, architectures or archMap, flags, and
// syscalls with name or names, action, errnoRet, args, includes and excludes
// (caps, arches, minKernel). Entries that are not for this kernel, machine
// or `capabilities` (bits, the container's bounding set) are left out, as
// are syscalls and architectures that nobody here knows. `kernel` is
// uname's release.
//
// InvalidArgument says what is malformed; SCMP_ACT_NOTIFY is refused, as
// nobody would answer.
absl::StatusOr<SeccompProfile> ParseSeccompJson(const std::string& json,
                                                uint64_t capabilities,
                                                const std::string& kernel);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_SECCOMP_JSON_H_
