// Waiting for what nothing tells: a file in /proc, a CRI status, a counter; and
// that the code under test does not wait.
//
// Thread-safe.

#ifndef PINION_TESTS_SUPPORT_EVENTUALLY_H_
#define PINION_TESTS_SUPPORT_EVENTUALLY_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
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

// Whether `attempt` does without a wait of the code under test that lasts
// `wait`: with it every try takes as long; without it a slow machine is quicker
// in one of three. Each try has a name of its own.
inline bool DoesNotWait(
    std::chrono::steady_clock::duration wait,
    const std::function<void(const std::string&)>& attempt) {
  int tries = 0;
  for (const char* const name : {"a", "b", "c"}) {
    ::testing::Test::RecordProperty("does_not_wait_tries", ++tries);
    const auto begin = std::chrono::steady_clock::now();
    attempt(name);
    if (std::chrono::steady_clock::now() - begin < wait) return true;
  }
  return false;
}

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_EVENTUALLY_H_
