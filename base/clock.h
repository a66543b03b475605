// Time, behind a seam so that tests can move it.
//
// Wall time (nanoseconds since the epoch) is for what people and the CRI are
// shown; every time-out and duration is measured on the monotonic clock, so
// that a step of the wall clock changes nothing (faults.md, 13).
//
// Thread-safe.

#ifndef PINION_BASE_CLOCK_H_
#define PINION_BASE_CLOCK_H_

#include <chrono>
#include <cstdint>

namespace pinion {

class Clock {
 public:
  using MonotonicTime = std::chrono::steady_clock::time_point;

  virtual ~Clock() = default;

  // Nanoseconds since the epoch.
  virtual int64_t WallNanos() const = 0;
  virtual MonotonicTime Now() const = 0;

  // The real clock; never destroyed.
  static const Clock& Real();
};

// Measures a duration on the monotonic clock.
class Stopwatch {
 public:
  explicit Stopwatch(const Clock& clock = Clock::Real())
      : clock_(&clock), start_(clock.Now()) {}

  std::chrono::nanoseconds Elapsed() const { return clock_->Now() - start_; }
  double Seconds() const {
    return std::chrono::duration<double>(Elapsed()).count();
  }

 private:
  const Clock* clock_;
  Clock::MonotonicTime start_;
};

}  // namespace pinion

#endif  // PINION_BASE_CLOCK_H_
