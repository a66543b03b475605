// The requests whose URLs are waiting for their client: each is handed out
// once, within kLifetime.
//
// Thread-safe.

#ifndef PINION_CRI_STREAMING_TOKEN_STORE_H_
#define PINION_CRI_STREAMING_TOKEN_STORE_H_

#include <chrono>
#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "cri/streaming/request.h"

namespace pinion::cri::streaming {

class TokenStore {
 public:
  static constexpr std::chrono::seconds kLifetime{60};
  static constexpr size_t kMaxWaiting = 1024;
  // Of all commands that wait.
  static constexpr size_t kMaxWaitingBytes = size_t{16} << 20;

  explicit TokenStore(const Clock& clock) : clock_(clock) {}

  // The path of the URL: "/exec/<32 hex digits>", 128 bits of getrandom(2).
  // ResourceExhausted while kMaxWaiting requests wait, or longer commands than
  // kMaxWaitingBytes would.
  absl::StatusOr<std::string> Add(Request request) ABSL_LOCKS_EXCLUDED(mutex_);

  // The request, and the path is spent. nullopt: never given out, taken
  // before, or too old; which of them is not told.
  std::optional<Request> Take(const std::string& path)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Waiting {
    std::string path;
    Request request;
    Clock::MonotonicTime deadline;
  };

  // In the order of their deadlines.
  using Waitings = std::list<Waiting>;

  void DropExpired() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Request Remove(Waitings::iterator found)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  absl::Mutex mutex_;
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  Waitings waiting_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, Waitings::iterator> by_path_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_TOKEN_STORE_H_
