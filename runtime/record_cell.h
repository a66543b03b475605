// One record, read by many: readers take an immutable snapshot and never
// wait for an operation; writers change a copy and publish it.
//
// Thread-safe. The mutex inside is held for a copy of the record at most.

#ifndef PINION_RUNTIME_RECORD_CELL_H_
#define PINION_RUNTIME_RECORD_CELL_H_

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

namespace pinion::runtime {

// Record: a protobuf message with a `revision` field.
template <typename Record>
class RecordCell {
 public:
  using Snapshot = std::shared_ptr<const Record>;

  explicit RecordCell(Record initial)
      : current_(std::make_shared<const Record>(std::move(initial))) {}

  Snapshot Get() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return current_;
  }

  // change(Record&) may return false: then nothing is published. Returns the
  // record that is current afterwards.
  template <typename Change>
  Snapshot Update(Change change) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto next = std::make_shared<Record>(*current_);
    if (!change(*next)) return current_;
    next->set_revision(current_->revision() + 1);
    current_ = std::move(next);
    changed_.notify_all();
    return current_;
  }

  // Lets Await look again, for a predicate that looks at more than the record.
  void Wake() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    changed_.notify_all();
  }

  // Waits until predicate(record) holds; false if the deadline came first. A
  // step of the wall clock moves no deadline: the standard's condition
  // variable waits on the monotonic clock, Abseil's time-outs do not.
  template <typename Predicate>
  bool Await(Predicate predicate,
             std::chrono::steady_clock::time_point deadline) const {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_until(
        lock, deadline, [this, &predicate] { return predicate(*current_); });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Snapshot current_;  // guarded by mutex_
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_RECORD_CELL_H_
