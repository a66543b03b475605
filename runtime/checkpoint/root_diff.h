// What a container has changed in its root: an overlay's upper directory as an
// OCI layer (tar, with whiteouts).
//
// Thread-safe. The directory's content comes from the container and may be
// hostile; nothing in it leads out of it.

#ifndef PINION_RUNTIME_CHECKPOINT_ROOT_DIFF_H_
#define PINION_RUNTIME_CHECKPOINT_ROOT_DIFF_H_

#include <chrono>

#include "absl/status/status.h"

namespace pinion::checkpoint {

// Writes the tree `upper` into `fd`. Sockets are left out: a program makes them
// anew, or criu does. FailedPrecondition: a file's name begins with ".wh.",
// which a layer cannot say. ResourceExhausted: more than a million entries, or
// more bytes than half of what is free where `fd` is. DeadlineExceeded.
absl::Status WriteRootDiff(int upper, int fd,
                           std::chrono::steady_clock::time_point deadline);

}  // namespace pinion::checkpoint

#endif  // PINION_RUNTIME_CHECKPOINT_ROOT_DIFF_H_
