// Memory that a cgroup has in use is taken back in steps and for a bounded
// time: one write to memory.reclaim lasts until the kernel has all that was
// asked for, minutes with slow swap, and who asks may hold a pod's lock.
//
// Thread-safe.

#ifndef PINION_RUNTIME_CGROUP_TAKE_BACK_H_
#define PINION_RUNTIME_CGROUP_TAKE_BACK_H_

#include <chrono>
#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "base/clock.h"

namespace pinion::cgroup {

inline constexpr std::chrono::seconds kTakeBackFor{10};
// Bytes of one step, at most and at least: the kernel counts in batches, and
// the last page is not fought for.
inline constexpr uint64_t kLargestStep = uint64_t{32} << 20;
inline constexpr uint64_t kSmallestStep = uint64_t{1} << 20;

// Takes back so many bytes, as far as it goes; what is in use then.
using ReclaimStep = std::function<absl::StatusOr<uint64_t>(uint64_t bytes)>;

// Until no more than `limit` of `usage` bytes is in use, a step takes nothing,
// or kTakeBackFor has gone. What is in use then; a step's error.
absl::StatusOr<uint64_t> TakeBack(uint64_t usage, uint64_t limit,
                                  const ReclaimStep& reclaim,
                                  const Clock& clock = Clock::Real());

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_TAKE_BACK_H_
