#include "runtime/events.h"

#include <utility>

namespace pinion::runtime {

std::shared_ptr<const Event> EventQueue::Pop() {
  const absl::MutexLock lock(&mutex_);
  if (events_.empty()) return nullptr;
  std::shared_ptr<const Event> event = std::move(events_.front());
  events_.pop_front();
  return event;
}

bool EventQueue::overflowed() const {
  const absl::MutexLock lock(&mutex_);
  return overflowed_;
}

void EventQueue::Push(const std::shared_ptr<const Event>& event) {
  const absl::MutexLock lock(&mutex_);
  if (overflowed_) return;
  if (events_.size() < kCapacity) {
    events_.push_back(event);
    return;
  }
  overflowed_ = true;
  events_.clear();
}

std::shared_ptr<EventQueue> EventHub::Subscribe(std::function<void()> ready) {
  auto queue = std::make_shared<EventQueue>(std::move(ready));
  const absl::MutexLock lock(&mutex_);
  queues_.push_back(queue);
  return queue;
}

void EventHub::Publish(absl::FunctionRef<std::vector<Event>()> make) {
  std::vector<std::shared_ptr<EventQueue>> queues;
  {
    // Held while the event is made and queued, so that of two events the later
    // one does not show an earlier state.
    const absl::MutexLock lock(&mutex_);
    std::erase_if(queues_, [&queues](const std::weak_ptr<EventQueue>& weak) {
      auto queue = weak.lock();
      if (queue == nullptr) return true;
      queues.push_back(std::move(queue));
      return false;
    });
    for (Event& event : make()) {
      const auto shared = std::make_shared<const Event>(std::move(event));
      for (const auto& queue : queues) queue->Push(shared);
    }
  }
  for (const auto& queue : queues) queue->ready_();
}

}  // namespace pinion::runtime
