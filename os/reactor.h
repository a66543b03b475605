// One thread, one epoll set: descriptors that become ready, and timers.
//
// Add, Remove and After are thread-safe and may be called from callbacks.
// Callbacks run on the reactor's thread, must not block, and never run again
// once Remove for their descriptor has returned (Remove from another thread
// waits for a running callback).

#ifndef PINION_OS_REACTOR_H_
#define PINION_OS_REACTOR_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "os/unique_fd.h"

namespace pinion::os {

class Reactor {
 public:
  // `events` is epoll's bit set (EPOLLIN | …).
  using FdCallback = std::function<void(uint32_t events)>;
  using TimerId = uint64_t;

  static absl::StatusOr<std::unique_ptr<Reactor>> Create();
  // Stops the thread; no callback runs afterwards.
  ~Reactor();

  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // Level-triggered. The caller keeps ownership of `fd` and calls Remove
  // before closing it.
  absl::Status Add(int fd, uint32_t events, FdCallback callback);
  void Remove(int fd);

  // Runs `callback` once, no earlier than `delay` from now.
  TimerId After(std::chrono::nanoseconds delay, std::function<void()> callback);
  // False if the timer has run or is running.
  bool Cancel(TimerId id);

  // Runs `callback` on the reactor's thread soon.
  void Post(std::function<void()> callback) {
    After(std::chrono::nanoseconds(0), std::move(callback));
  }

 private:
  struct Handler {
    int fd;
    FdCallback callback;
  };
  using Deadline = std::pair<std::chrono::steady_clock::time_point, TimerId>;

  Reactor(UniqueFd epoll, UniqueFd wakeup);

  void Loop();
  void RunHandler(uint64_t key, uint32_t events) ABSL_LOCKS_EXCLUDED(mutex_);
  void RunDueTimers() ABSL_LOCKS_EXCLUDED(mutex_);
  int TimeoutMs() ABSL_LOCKS_EXCLUDED(mutex_);
  void Wake();

  const UniqueFd epoll_;
  const UniqueFd wakeup_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_key_ ABSL_GUARDED_BY(mutex_) = 1;
  // By key, not by descriptor: a number that was closed and reused must not
  // get events of its predecessor.
  std::map<uint64_t, std::shared_ptr<Handler>> handlers_
      ABSL_GUARDED_BY(mutex_);
  std::map<int, uint64_t> keys_ ABSL_GUARDED_BY(mutex_);
  uint64_t running_key_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<Deadline, std::function<void()>> timers_ ABSL_GUARDED_BY(mutex_);
  std::map<TimerId, Deadline> deadlines_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace pinion::os

#endif  // PINION_OS_REACTOR_H_
