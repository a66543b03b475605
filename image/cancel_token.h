// Ends waiting and running work from another thread.
//
// Thread-safe.

#ifndef PINION_IMAGE_CANCEL_TOKEN_H_
#define PINION_IMAGE_CANCEL_TOKEN_H_

#include <atomic>
#include <chrono>

#include "absl/status/status.h"
#include "os/unique_fd.h"

namespace pinion::image {

class CancelToken {
 public:
  CancelToken();

  void Cancel();
  bool cancelled() const { return cancelled_.load(); }
  // Readable once cancelled; -1 if the kernel had no descriptor to give (then
  // waits end by their own time-outs).
  int fd() const { return event_.get(); }

  // Cancelled, or OK after `duration`.
  absl::Status Wait(std::chrono::milliseconds duration) const;
  absl::Status Check() const;

 private:
  const os::UniqueFd event_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_CANCEL_TOKEN_H_
