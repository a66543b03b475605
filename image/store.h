// The images that are here: records, names, layers, holders.
//
// Thread-safe. Readers see an immutable snapshot and wait for nobody; changes
// are made one at a time (changes_), and neither lock is held while layers
// are fetched or deleted. Lock order: changes_, then state_, then the layer
// store's.

#ifndef PINION_IMAGE_STORE_H_
#define PINION_IMAGE_STORE_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "image/cancel_token.h"
#include "image/image_service.h"
#include "image/layer_store.h"
#include "image/records.h"

namespace pinion::image {

class Store {
 public:
  // `cancel` outlives the store.
  static absl::StatusOr<std::unique_ptr<Store>> Create(
      const Options& options, const CancelToken* cancel);

  LayerStore& layers() { return *layers_; }

  // Makes the image known. The caller has leases on its layers (bottom
  // first); when this returns, everything is on the disk for good.
  absl::Status Add(ImageRecord image,
                   const std::vector<std::string>& references);

  std::vector<ImageInfo> List() const;
  std::optional<ImageInfo> Find(const std::string& reference) const;

  absl::Status Remove(const std::string& reference);

  absl::StatusOr<ImageInfo> Hold(const std::string& reference,
                                 const std::string& holder);
  absl::Status HoldLayers(const std::vector<std::string>& layer_dirs,
                          const std::string& holder);
  void Release(const std::string& holder);
  absl::Status CollectGarbage();

  // Deletes layers that nothing uses any more.
  absl::Status Sweep();

 private:
  struct Image {
    ImageRecord record;
    ImageInfo info;  // without names; pinned is set by Publish
  };
  struct Snapshot {
    std::map<std::string, ImageInfo> images;        // by id
    std::map<std::string, std::string> references;  // key → id
  };

  Store(const Options& options, std::unique_ptr<Records> records,
        std::unique_ptr<LayerStore> layers);

  absl::Status Load(AllRecords all, const std::set<int64_t>& missing);
  absl::StatusOr<Image> Describe(ImageRecord record) const;
  // Makes the state visible to readers.
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_);
  std::shared_ptr<const Snapshot> snapshot() const;
  const ImageInfo* Resolve(const Snapshot& snapshot,
                           const std::string& reference) const;

  const Options options_;
  const std::unique_ptr<Records> records_;
  const std::unique_ptr<LayerStore> layers_;

  absl::Mutex changes_;
  absl::Mutex state_;
  std::map<std::string, Image> images_ ABSL_GUARDED_BY(state_);
  std::map<std::string, std::string> references_ ABSL_GUARDED_BY(state_);
  std::map<std::string, std::vector<int64_t>> holders_ ABSL_GUARDED_BY(state_);
  // Until the first CollectGarbage: containers from before the start may
  // stand on any layer.
  std::vector<int64_t> held_for_start_ ABSL_GUARDED_BY(state_);

  mutable absl::Mutex snapshot_mutex_;
  std::shared_ptr<const Snapshot> snapshot_ ABSL_GUARDED_BY(snapshot_mutex_);
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_STORE_H_
