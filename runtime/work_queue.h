// A few threads for what must not run on the reactor's thread: reactions to
// events that take a pod's lock or touch the disk.
//
// Thread-safe. Tasks may run in any order.

#ifndef PINION_RUNTIME_WORK_QUEUE_H_
#define PINION_RUNTIME_WORK_QUEUE_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace pinion::runtime {

class WorkQueue {
 public:
  explicit WorkQueue(int threads);
  ~WorkQueue() { Close(); }

  // Runs what is queued and waits for it. What is added later is dropped.
  void Close();

  void Add(std::function<void()> task);

 private:
  void Loop();

  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_WORK_QUEUE_H_
