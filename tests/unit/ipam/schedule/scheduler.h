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
// Values are sequentially consistent here. What the memory orders are for is
// followed by vector clocks: which steps of other threads happened before, by
// C++'s rules, is known of each thread. Not thread-safe.

#ifndef PINION_TESTS_UNIT_IPAM_SCHEDULE_SCHEDULER_H_
#define PINION_TESTS_UNIT_IPAM_SCHEDULE_SCHEDULER_H_

#include <ucontext.h>

#include <array>
#include <atomic>
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

  // How many steps of each thread happened before.
  using Times = std::array<uint32_t, 3>;

  // Of the thread that runs. Nothing happens outside of Run.
  static void Point();
  static int current_thread();
  // Joins what it knows with `times`, either way.
  static void Learn(const Times& times);
  static void Tell(Times& times);
  // What the running thread knows; its own component counts its steps.
  static Times Known();

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
  std::array<Times, 3> known_ = {};
  uint64_t runs_ = 0;
};

// The atomics policy: a word whose every use is a point of the schedule.
struct SimAtomics {
  class Word {
   public:
    Word() = default;

    uint64_t load(std::memory_order order) const {
      Scheduler::Point();
      Acquire(order);
      return value_;
    }
    void store(uint64_t value, std::memory_order order) {
      Scheduler::Point();
      value_ = value;
      // The end of whatever release sequence there was.
      released_ = {};
      Release(order);
    }
    uint64_t fetch_add(uint64_t value, std::memory_order order) {
      return Change(order, [value](uint64_t old) { return old + value; });
    }
    uint64_t fetch_or(uint64_t value, std::memory_order order) {
      return Change(order, [value](uint64_t old) { return old | value; });
    }
    uint64_t fetch_and(uint64_t value, std::memory_order order) {
      return Change(order, [value](uint64_t old) { return old & value; });
    }
    bool compare_exchange_strong(uint64_t& expected, uint64_t value,
                                 std::memory_order order,
                                 std::memory_order failure) {
      Scheduler::Point();
      Acquire(value_ == expected ? order : failure);
      if (value_ != expected) {
        expected = value_;
        return false;
      }
      value_ = value;
      Release(order);
      return true;
    }

    // For checks: no point of the schedule.
    uint64_t Peek() const { return value_; }
    void Poke(uint64_t value) { value_ = value; }

   private:
    template <class Function>
    uint64_t Change(std::memory_order order, const Function& function) {
      Scheduler::Point();
      Acquire(order);
      Release(order);
      return std::exchange(value_, function(value_));
    }
    void Acquire(std::memory_order order) const {
      if (order == std::memory_order_acquire ||
          order == std::memory_order_acq_rel) {
        Scheduler::Learn(released_);
      }
    }
    // Changes of a word by one step go on with its release sequence.
    void Release(std::memory_order order) {
      if (order == std::memory_order_release ||
          order == std::memory_order_acq_rel) {
        Scheduler::Tell(released_);
      }
    }

    uint64_t value_ = 0;
    Scheduler::Times released_ = {};
  };
};

}  // namespace pinion::ipam::schedule

#endif  // PINION_TESTS_UNIT_IPAM_SCHEDULE_SCHEDULER_H_
