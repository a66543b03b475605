// The root of a container that was created and not yet started, mounted
// behind the answer to CreateContainer: overlayfs makes and removes half a
// dozen inodes in the writable layer, for which StartContainer would have to
// wait. A detached mount, held by a descriptor, so it ends with the daemon;
// the next daemon mounts it anew (MountRoot).
//
// Thread-safe. None -> expected -> being made -> ready -> none; whoever takes
// it before the making has begun, or after it failed, gets none.

#ifndef PINION_RUNTIME_ROOT_MOUNT_H_
#define PINION_RUNTIME_ROOT_MOUNT_H_

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "os/unique_fd.h"

namespace pinion::runtime {

class RootMount {
 public:
  using Maker = std::function<absl::StatusOr<os::UniqueFd>()>;

  // Make is going to be called, on another thread.
  void Expect();
  // Does nothing if the mount was taken meanwhile. Returns why it failed.
  absl::Status Make(const Maker& maker);
  // Waits for a Make that has begun. Nothing is made any more after it.
  os::UniqueFd Take();

 private:
  enum class State { kNone, kExpected, kMaking, kReady };

  absl::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kNone;
  os::UniqueFd mount_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_ROOT_MOUNT_H_
