// Makes a seccomp program smaller without changing what it decides.
//
// libseccomp spends a comparison and a return on each syscall of each
// architecture. The kernel checks, converts, compiles and tries out all of
// that whenever a process loads it: 0.3 ms for the default profile, a good
// part of a container's start. Numbers next to each other are mostly decided
// alike, so a search over ranges does with a third.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_SECCOMP_COMPACT_H_
#define PINION_RUNTIME_PLAN_SECCOMP_COMPACT_H_

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace pinion::plan {

// A program that returns what `program` returns for every call, or `program`
// itself where that cannot be had: if it uses instructions other than those
// of libseccomp and CompileModern, or would reach too far. `architectures`
// are the AUDIT_ARCH_* it tells apart; it treats all others alike.
std::vector<struct sock_filter> CompactSeccomp(
    const std::vector<struct sock_filter>& program,
    const std::vector<uint32_t>& architectures);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_SECCOMP_COMPACT_H_
