#include "runtime/cgroup/take_back.h"

#include <algorithm>

#include "base/status_macros.h"

namespace pinion::cgroup {

absl::StatusOr<uint64_t> TakeBack(uint64_t usage, uint64_t limit,
                                  const ReclaimStep& reclaim,
                                  const Clock& clock) {
  const Stopwatch watch(clock);
  while (usage > limit && watch.Elapsed() < kTakeBackFor) {
    PINION_ASSIGN_OR_RETURN(
        const uint64_t now,
        reclaim(std::clamp(usage - limit, kSmallestStep, kLargestStep)));
    const bool fell = now < usage;
    usage = now;
    if (!fell) break;
  }
  return usage;
}

}  // namespace pinion::cgroup
