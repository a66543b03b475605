// One record, read by many: readers take an immutable snapshot and never
// wait for an operation; writers change a copy and publish it.
//
// Thread-safe. The mutex inside is held for a copy of the record at most.

#ifndef PINION_RUNTIME_RECORD_CELL_H_
#define PINION_RUNTIME_RECORD_CELL_H_

#include <chrono>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace pinion::runtime {

// Record: a protobuf message with a `revision` field.
template <typename Record>
class RecordCell {
 public:
  using Snapshot = std::shared_ptr<const Record>;

  explicit RecordCell(Record initial)
      : current_(std::make_shared<const Record>(std::move(initial))) {}

  Snapshot Get() const {
    const absl::MutexLock lock(&mutex_);
    return current_;
  }

  // change(Record&) may return false: then nothing is published. Returns the
  // record that is current afterwards.
  template <typename Change>
  Snapshot Update(Change change) {
    const absl::MutexLock lock(&mutex_);
    auto next = std::make_shared<Record>(*current_);
    if (!change(*next)) return current_;
    next->set_revision(current_->revision() + 1);
    current_ = std::move(next);
    return current_;
  }

  // Waits until predicate(record) holds; false if the deadline came first.
  template <typename Predicate>
  bool Await(Predicate predicate,
             std::chrono::steady_clock::time_point deadline) const {
    const auto holds = [this, &predicate]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                           mutex_) { return predicate(*current_); };
    const absl::MutexLock lock(&mutex_);
    // As a duration: a step of the wall clock must not move the deadline.
    return mutex_.AwaitWithTimeout(
        absl::Condition(&holds),
        absl::FromChrono(deadline - std::chrono::steady_clock::now()));
  }

 private:
  mutable absl::Mutex mutex_;
  Snapshot current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_RECORD_CELL_H_
