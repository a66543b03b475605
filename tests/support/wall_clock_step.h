// A wall clock that a test can step, for whoever makes a deadline of it
// (Abseil's time-outs do): gettimeofday(2) of the whole program. Included by
// one source file of a program.
//
// Thread-safe.

#ifndef PINION_TESTS_SUPPORT_WALL_CLOCK_STEP_H_
#define PINION_TESTS_SUPPORT_WALL_CLOCK_STEP_H_

#include <sys/time.h>

#include <atomic>
#include <ctime>

namespace pinion::testing_support {

inline std::atomic<time_t> wall_clock_step_seconds{0};

}  // namespace pinion::testing_support

extern "C" int gettimeofday(timeval* now, void* /*zone*/) {
  timespec real = {};
  clock_gettime(CLOCK_REALTIME, &real);
  now->tv_sec =
      real.tv_sec + pinion::testing_support::wall_clock_step_seconds.load();
  now->tv_usec = real.tv_nsec / 1000;
  return 0;
}

#endif  // PINION_TESTS_SUPPORT_WALL_CLOCK_STEP_H_
