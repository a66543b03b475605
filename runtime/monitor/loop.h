// The monitor's epoll loop. Single-threaded; no heap.

#ifndef PINION_RUNTIME_MONITOR_LOOP_H_
#define PINION_RUNTIME_MONITOR_LOOP_H_

#include <cstdint>

namespace pinion::monitor {

// One descriptor and what to do when it is ready. Lives inside the object that
// owns the descriptor; Loop::Remove before either goes, and keep the memory
// until the loop's turn is over (an event of the same turn may name it).
struct Watch {
  int fd = -1;
  void (*ready)(void* context, uint32_t events) = nullptr;
  void* context = nullptr;

  bool active() const { return ready != nullptr; }
};

class Loop {
 public:
  // 0 or errno.
  int Create();

  // Level-triggered. Fills *watch. 0 or errno.
  int Add(Watch* watch, int fd, uint32_t events,
          void (*ready)(void* context, uint32_t events), void* context);
  void Change(Watch* watch, uint32_t events);
  // Leaves the descriptor open. Nothing if it is not watched.
  void Remove(Watch* watch);
  // Remove, and close the descriptor.
  void Close(Watch* watch);

  // Waits at most `timeout_ms` (-1: for ever) and serves what is ready, at most
  // `limit` descriptors, each once; those left out come first next time.
  // Returns the number of events.
  int Turn(int timeout_ms, int limit = kEventsPerTurn);

  // A loop within a loop: readable when something in it is ready.
  int fd() const { return epoll_; }

 private:
  static constexpr int kEventsPerTurn = 16;

  int epoll_ = -1;
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_LOOP_H_
