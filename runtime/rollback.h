// An operation of several steps: each step says how it is undone; unless the
// operation commits, the undos run in reverse order.
//
// Not thread-safe; lives on one stack.

#ifndef PINION_RUNTIME_ROLLBACK_H_
#define PINION_RUNTIME_ROLLBACK_H_

#include <functional>
#include <utility>
#include <vector>

namespace pinion::runtime {

class Rollback {
 public:
  Rollback() = default;
  ~Rollback() {
    for (auto undo = undos_.rbegin(); undo != undos_.rend(); ++undo) (*undo)();
  }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;

  // Register the undo before the step: a step that fails half-way may have
  // left something, and every undo is idempotent.
  void Add(std::function<void()> undo) { undos_.push_back(std::move(undo)); }
  void Commit() { undos_.clear(); }

 private:
  std::vector<std::function<void()>> undos_;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_ROLLBACK_H_
