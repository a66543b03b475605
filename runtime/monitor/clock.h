// Time, for the monitor. Wall time is what people are shown; every time-out
// is on the monotonic clock.

#ifndef PINION_RUNTIME_MONITOR_CLOCK_H_
#define PINION_RUNTIME_MONITOR_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace pinion::monitor {

inline int64_t ClockNanos(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Since the epoch.
inline int64_t WallNanos() { return ClockNanos(CLOCK_REALTIME); }
inline int64_t MonotonicNanos() { return ClockNanos(CLOCK_MONOTONIC); }

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_CLOCK_H_
