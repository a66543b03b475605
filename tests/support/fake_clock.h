// A clock that stands still until a test moves it.
//
// Thread-safe.

#ifndef PINION_TESTS_SUPPORT_FAKE_CLOCK_H_
#define PINION_TESTS_SUPPORT_FAKE_CLOCK_H_

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace pinion::testing_support {

class FakeClock : public Clock {
 public:
  int64_t WallNanos() const override { return nanos_.load(); }
  MonotonicTime Now() const override {
    return MonotonicTime(std::chrono::nanoseconds(nanos_.load()));
  }

  void Advance(std::chrono::nanoseconds by) { nanos_ += by.count(); }

 private:
  // A day after boot.
  std::atomic<int64_t> nanos_ = int64_t{86'400} * 1'000'000'000;
};

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_FAKE_CLOCK_H_
