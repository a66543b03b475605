// Runs a few threads under every schedule with at most so many preemptions.
//
// The threads are fibers on one real thread. Before each step on shared memory
// they call Point(), and there the scheduler may go on with the same thread,
// with another (a preemption), or end this one (a kill, as SIGKILL would). It
// writes down what it chose; Next() turns to the next schedule, depth first,
// until all have been.
//
//   Scheduler scheduler({.preemptions = 3, .kills = 0});
//   do {
//     World world;
//     scheduler.Run({[&] { … }, [&] { … }}, [&] { … });
//     …
//   } while (scheduler.Next());
//
// Memory is sequentially consistent here: what the memory orders are for is
// ThreadSanitizer's part and docs/ipam.md's. Not thread-safe.

#ifndef PINION_TESTS_UNIT_IPAM_SCHEDULE_SCHEDULER_H_
#define PINION_TESTS_UNIT_IPAM_SCHEDULE_SCHEDULER_H_

#include <ucontext.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pinion::ipam::schedule {

class Scheduler {
 public:
  struct Limits {
    int preemptions = 3;
    int kills = 0;
  };

  explicit Scheduler(const Limits& limits);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // One schedule. `observe` is called at each point, before the step.
  void Run(const std::vector<std::function<void()>>& bodies,
           const std::function<void()>& observe);

  // False if there is no schedule left.
  bool Next();

  // Of the thread that runs. Nothing happens outside of Run.
  static void Point();
  static int current_thread();

  uint64_t runs() const { return runs_; }
  bool killed(int thread) const {
    return fibers_[static_cast<size_t>(thread)]->killed;
  }
  // What was chosen where there was a choice: to reproduce a failure.
  std::string Describe() const;

 private:
  struct Killed {};
  struct Fiber {
    Fiber();

    ucontext_t context;
    const std::unique_ptr<char[]> stack;
    const std::function<void()>* body = nullptr;
    bool runnable = false;
    bool killed = false;
  };
  struct Choice {
    int taken;
    int options;
  };

  static void Enter();
  void AtPoint();
  // A number below `options`.
  int Choose(int options);
  // The n-th runnable thread other than `except`.
  int Runnable(int n, int except) const;
  int CountRunnable(int except) const;
  void SwitchTo(int thread);

  const Limits limits_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  ucontext_t main_;
  const std::function<void()>* observe_ = nullptr;
  int current_ = -1;
  int preemptions_ = 0;
  int kills_ = 0;
  int steps_ = 0;
  std::vector<Choice> choices_;
  size_t depth_ = 0;
  uint64_t runs_ = 0;
};

// The atomics policy: a word whose every use is a point of the schedule.
struct SimAtomics {
  class Word {
   public:
    Word() = default;

    template <class Order>
    uint64_t load(Order) const {
      Scheduler::Point();
      return value_;
    }
    template <class Order>
    void store(uint64_t value, Order) {
      Scheduler::Point();
      value_ = value;
    }
    template <class Order>
    uint64_t fetch_add(uint64_t value, Order) {
      Scheduler::Point();
      return std::exchange(value_, value_ + value);
    }
    template <class Order>
    uint64_t fetch_or(uint64_t value, Order) {
      Scheduler::Point();
      return std::exchange(value_, value_ | value);
    }
    template <class Order>
    uint64_t fetch_and(uint64_t value, Order) {
      Scheduler::Point();
      return std::exchange(value_, value_ & value);
    }
    template <class Order>
    bool compare_exchange_strong(uint64_t& expected, uint64_t value, Order,
                                 Order) {
      Scheduler::Point();
      if (value_ != expected) {
        expected = value_;
        return false;
      }
      value_ = value;
      return true;
    }

    // For checks: no point of the schedule.
    uint64_t Peek() const { return value_; }
    void Poke(uint64_t value) { value_ = value; }

   private:
    uint64_t value_ = 0;
  };
};

}  // namespace pinion::ipam::schedule

#endif  // PINION_TESTS_UNIT_IPAM_SCHEDULE_SCHEDULER_H_
