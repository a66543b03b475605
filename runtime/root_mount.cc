#include "runtime/root_mount.h"

#include <utility>

namespace pinion::runtime {

void RootMount::Expect() {
  const absl::MutexLock lock(&mutex_);
  if (state_ == State::kNone) state_ = State::kExpected;
}

absl::Status RootMount::Make(const Maker& maker) {
  {
    const absl::MutexLock lock(&mutex_);
    if (state_ != State::kExpected) return absl::OkStatus();
    state_ = State::kMaking;
  }
  absl::StatusOr<os::UniqueFd> made = maker();
  const absl::MutexLock lock(&mutex_);
  state_ = made.ok() ? State::kReady : State::kNone;
  if (made.ok()) mount_ = *std::move(made);
  return made.status();
}

os::UniqueFd RootMount::Take() {
  const absl::MutexLock lock(&mutex_);
  const auto settled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return state_ != State::kMaking;
  };
  mutex_.Await(absl::Condition(&settled));
  state_ = State::kNone;
  return std::move(mount_);
}

}  // namespace pinion::runtime
