#include "image/cancel_token.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>

namespace pinion::image {

CancelToken::CancelToken() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void CancelToken::Cancel() {
  cancelled_.store(true);
  // Stays readable: nobody reads it.
  if (event_.valid()) (void)eventfd_write(event_.get(), 1);
}

absl::Status CancelToken::Check() const {
  if (cancelled()) return absl::CancelledError("the pull was cancelled");
  return absl::OkStatus();
}

absl::Status CancelToken::Wait(std::chrono::milliseconds duration) const {
  const auto deadline = std::chrono::steady_clock::now() + duration;
  while (!cancelled()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return absl::OkStatus();
    pollfd item = {event_.get(), POLLIN, 0};
    (void)poll(&item, 1, static_cast<int>(left.count()));
  }
  return Check();
}

}  // namespace pinion::image
