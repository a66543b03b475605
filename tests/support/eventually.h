// Waiting for what nothing tells: a file in /proc, a CRI status, a counter.
//
// Thread-safe.

#ifndef PINION_TESTS_SUPPORT_EVENTUALLY_H_
#define PINION_TESTS_SUPPORT_EVENTUALLY_H_

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

namespace pinion::testing_support {

// Looks at growing intervals until it holds; false after a minute.
inline bool Eventually(const std::function<bool()>& condition) {
  using std::chrono::milliseconds;
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::minutes(1);
  milliseconds pause(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, milliseconds(25));
  }
  return true;
}

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_EVENTUALLY_H_
