// One daemon per root and per state directory: an flock(2)ed file in each,
// held as long as the object lives. The kernel drops the lock with the
// process, so nothing is left to clean up after a crash.
//
// Thread-safe after Acquire.

#ifndef PINION_DAEMON_STATE_LOCK_H_
#define PINION_DAEMON_STATE_LOCK_H_

#include <string>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::daemon {

class StateLock {
 public:
  // Makes `directory` (0700) with its parents if it is missing, and sets its
  // mode. FailedPrecondition if another daemon holds it; the message names
  // its pid.
  static absl::StatusOr<StateLock> Acquire(const std::string& directory);

 private:
  explicit StateLock(os::UniqueFd fd) : fd_(std::move(fd)) {}

  os::UniqueFd fd_;
};

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_STATE_LOCK_H_
