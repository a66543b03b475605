// What happens to containers and pods, told to whoever subscribed.
//
// Thread-safe. Publishing never waits: every subscriber has a queue of its
// own, and one that does not keep up loses its place instead of holding
// anybody. Events of one object come in the order in which they happened.
//
// Locks: the hub's is taken after a pod's operation lock and before those of
// ObjectTable and RecordCell (objects.h).

#ifndef PINION_RUNTIME_EVENTS_H_
#define PINION_RUNTIME_EVENTS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "runtime/snapshot.h"

namespace pinion::runtime {

enum class EventKind { kCreated, kStarted, kStopped, kDeleted };

struct Event {
  EventKind kind = EventKind::kCreated;
  // The container's id, or the pod's for what happens to the pod itself.
  std::string id;
  int64_t created_at_ns = 0;  // wall clock
  // As they are after it. A container that was deleted is not among them.
  PodSnapshot pod;
  std::vector<ContainerSnapshot> containers;
};

// One subscriber's events. It ends its subscription by letting go of it.
class EventQueue {
 public:
  // Events that wait: all four of 270 pods with three containers each.
  static constexpr size_t kCapacity = 4096;

  // `ready` is called after something was added, on the publisher's thread
  // (perhaps the reactor's): it must not block, nor publish.
  explicit EventQueue(std::function<void()> ready) : ready_(std::move(ready)) {}

  // The oldest; null: there is none.
  std::shared_ptr<const Event> Pop() ABSL_LOCKS_EXCLUDED(mutex_);
  // True once more than kCapacity waited: events were lost, and no more come.
  bool overflowed() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class EventHub;

  void Push(const std::shared_ptr<const Event>& event)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const std::function<void()> ready_;
  mutable absl::Mutex mutex_;
  bool overflowed_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::shared_ptr<const Event>> events_ ABSL_GUARDED_BY(mutex_);
};

class EventHub {
 public:
  std::shared_ptr<EventQueue> Subscribe(std::function<void()> ready)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Adds what `make` returns to every queue. `make` runs under the hub's lock.
  void Publish(absl::FunctionRef<std::vector<Event>()> make)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  std::vector<std::weak_ptr<EventQueue>> queues_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_EVENTS_H_
