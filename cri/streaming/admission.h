// How many connections there may be at once: newcomers, which have shown no
// token yet, and sessions. Anybody on the node can be a newcomer, so they have
// a bound of their own and take no session's place.
//
// Thread-safe.

#ifndef PINION_CRI_STREAMING_ADMISSION_H_
#define PINION_CRI_STREAMING_ADMISSION_H_

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace pinion::cri::streaming {

class Admission {
 public:
  Admission(size_t max_newcomers, size_t max_sessions)
      : max_newcomers_(max_newcomers), max_sessions_(max_sessions) {}

  // What one connection takes up, for as long as it lives.
  class Place {
   public:
    Place(Place&& other) noexcept
        : admission_(std::exchange(other.admission_, nullptr)),
          session_(other.session_) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (admission_ != nullptr) admission_->Leave(session_);
    }

    // From newcomer to session; false: there are too many.
    bool BecomeSession() {
      session_ = admission_->Move(/*to_session=*/true);
      return session_;
    }
    // Back again: it had no token.
    void BecomeNewcomer() { session_ = admission_->Move(/*to_session=*/false); }

   private:
    friend class Admission;
    explicit Place(Admission* admission) : admission_(admission) {}
    Admission* admission_;
    bool session_ = false;
  };

  // nullopt: there are too many newcomers.
  std::optional<Place> Arrive() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    if (newcomers_ >= max_newcomers_) return std::nullopt;
    ++newcomers_;
    return Place(this);
  }

  // Waits until every place was left; false: not within `timeout`.
  bool AwaitNone(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(this, &Admission::None),
                                   timeout);
  }

 private:
  bool None() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return newcomers_ == 0 && sessions_ == 0;
  }
  // Whether it is a session then.
  bool Move(bool to_session) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    if (!to_session) {
      --sessions_;
      ++newcomers_;
      return false;
    }
    if (sessions_ >= max_sessions_) return false;
    --newcomers_;
    ++sessions_;
    return true;
  }
  void Leave(bool session) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    --(session ? sessions_ : newcomers_);
  }

  const size_t max_newcomers_;
  const size_t max_sessions_;
  absl::Mutex mutex_;
  size_t newcomers_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t sessions_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_ADMISSION_H_
