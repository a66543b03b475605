// A child process of a test, killed and reaped with the object.
//
// For single-threaded tests: the child runs a function of the test's after
// fork.

#ifndef PINION_TESTS_SUPPORT_CHILD_H_
#define PINION_TESTS_SUPPORT_CHILD_H_

#include <sys/types.h>

#include <functional>
#include <utility>

namespace pinion::testing_support {

class Child {
 public:
  // Runs `body` in a child, inside the cgroup with this directory descriptor
  // (-1: the test's own; CLONE_INTO_CGROUP); its result is the exit code.
  explicit Child(const std::function<int()>& body, int cgroup = -1);
  // Waits for a signal.
  static Child Sleeper(int cgroup = -1);
  ~Child();

  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // -1 if it could not be started, or has been waited for.
  pid_t pid() const { return pid_; }

  // Blocks until it has ended: the exit code, or minus the signal.
  int Wait();

 private:
  pid_t pid_ = -1;
};

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_CHILD_H_
