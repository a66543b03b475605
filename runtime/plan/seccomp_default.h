// pinion's own profile for RuntimeDefault.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_SECCOMP_DEFAULT_H_
#define PINION_RUNTIME_PLAN_SECCOMP_DEFAULT_H_

#include <cstdint>

#include "runtime/plan/seccomp_profile.h"

namespace pinion::plan {

// What programs in a container with `capabilities` (bits, its bounding set)
// need; the rest is EPERM. Left out is what reaches beyond the container or
// has been a way into the kernel: modules, kexec, raw I/O, clocks, swap,
// keys, BPF, io_uring, userfaultfd, new namespaces and mounts; a capability
// that is about one of these brings it back.
SeccompProfile DefaultSeccompProfile(uint64_t capabilities);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_SECCOMP_DEFAULT_H_
