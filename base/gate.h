// Something that has not happened yet, and then has, for good.
//
// Thread-safe. Waits on the monotonic clock: a step of the wall clock moves no
// deadline, as it does with Abseil's time-outs.

#ifndef PINION_BASE_GATE_H_
#define PINION_BASE_GATE_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace pinion {

class Gate {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  explicit Gate(bool open = false) : open_(open) {}

  void Open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }

  // False if it is still shut at the deadline.
  bool WaitUntil(Deadline deadline) const {
    std::unique_lock<std::mutex> lock(mutex_);
    return opened_.wait_until(lock, deadline, [this] { return open_; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable opened_;
  bool open_;  // guarded by mutex_
};

}  // namespace pinion

#endif  // PINION_BASE_GATE_H_
