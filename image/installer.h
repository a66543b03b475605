// Makes an image of the store from a manifest and a source of blobs: a
// registry, or an archive.
//
// One stream per layer, several layers at a time, each on its own thread:
//
//   blob → SHA-256 → inflate → SHA-256 (diff id) → tar → layers/tmp-<n>
//
// Thread-safe.

#ifndef PINION_IMAGE_INSTALLER_H_
#define PINION_IMAGE_INSTALLER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "image/byte_stream.h"
#include "image/cancel_token.h"
#include "image/manifest.h"
#include "image/store.h"

namespace pinion::image {

class BlobSource {
 public:
  virtual ~BlobSource() = default;
  // Called by several threads at once. The digest is the caller's to check.
  virtual absl::StatusOr<std::unique_ptr<ByteStream>> OpenBlob(
      const Descriptor& descriptor) = 0;
};

// How many layers are streamed at a time by all pulls together: what bounds
// their memory. Thread-safe.
class StreamSlots {
 public:
  explicit StreamSlots(int count) : free_(count) {}

  // Waits for a slot; false if `cancel` came first.
  bool Take(const CancelToken* cancel);
  void Give();
  // Wakes waiting calls after their token was cancelled.
  void Wake();

 private:
  absl::Mutex mutex_;
  int free_ ABSL_GUARDED_BY(mutex_);
};

struct InstallOptions {
  int parallel_layers = 8;
  StreamSlots* slots = nullptr;  // null: no bound but parallel_layers
  const CancelToken* cancel = nullptr;
  // How many bytes of blobs were read; called by several threads.
  std::function<void(uint64_t bytes)> on_bytes;
};

// The image's id. `references`: the keys under which it is to be found
// (Reference::Key). Nothing stays after a failure.
absl::StatusOr<std::string> InstallImage(
    BlobSource& source, const Manifest& manifest,
    const std::vector<std::string>& references, Store& store,
    const InstallOptions& options);

// A blob of at most 4 MiB, verified.
absl::StatusOr<std::string> ReadBlob(BlobSource& source,
                                     const Descriptor& descriptor);

}  // namespace pinion::image

#endif  // PINION_IMAGE_INSTALLER_H_
