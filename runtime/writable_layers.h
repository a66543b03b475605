// The directories that make a container's writable layer: upper and work on
// one file system, as overlayfs wants, in <root>/containers/<id>. A few are
// kept ready in <root>/spare, because a new directory costs far more than its
// new name.
//
// Thread-safe. Errors: those of the system calls.

#ifndef PINION_RUNTIME_WRITABLE_LAYERS_H_
#define PINION_RUNTIME_WRITABLE_LAYERS_H_

#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "os/unique_fd.h"

namespace pinion::runtime {

class WritableLayers {
 public:
  // Removes spare ones that an earlier daemon left. `containers_dir` must
  // outlive the object.
  static absl::StatusOr<std::unique_ptr<WritableLayers>> Create(
      int root_dir, int containers_dir);
  // Removes the spare ones.
  ~WritableLayers();

  // Makes <id>/upper and <id>/work. `root`: owner and mode of upper, which is
  // the root directory that the container sees.
  absl::Status Make(const std::string& id, const struct stat& root);
  // Makes up for what Make took. Best effort.
  void Refill();

 private:
  WritableLayers(os::UniqueFd spare_dir, int containers_dir);

  // The name of one, which is the caller's from then on; empty if there is
  // none.
  std::string TakeSpare();

  const os::UniqueFd spare_dir_;
  const int containers_dir_;
  absl::Mutex mutex_;
  bool refilling_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> spare_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_WRITABLE_LAYERS_H_
