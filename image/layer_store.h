// The layer directories: <root>/layers/<number>, each an overlayfs lower
// directory, shared by all images that have the layer.
//
// A layer's life:
//
//   (making) ──unpacked──▶ unpacked ──Publish──▶ published ──▶ removed
//   tmp-<n>                tmp-<n>               <n>
//
// It is removed once nothing uses it: no image, no lease, no hold. An
// unpublished one goes with the last lease, so an interrupted pull leaves
// nothing; after a crash, Create removes all that has no record.
//
// Thread-safe. No lock is held while a layer is fetched, synced or deleted.

#ifndef PINION_IMAGE_LAYER_STORE_H_
#define PINION_IMAGE_LAYER_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "image/cancel_token.h"
#include "image/digest.h"
#include "image/records.h"
#include "os/unique_fd.h"

namespace pinion::image {

class LayerStore {
 public:
  // Keeps a layer from being removed while it lives.
  class Lease {
   public:
    Lease(LayerStore* store, int64_t number) : store_(store), number_(number) {}
    ~Lease();
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&&) = delete;

    int64_t number() const { return number_; }

   private:
    LayerStore* store_;
    int64_t number_;
  };

  // `records` are the layers that may be there; `missing` receives those
  // whose directory is not, which the store then does not have. Directories
  // without a record are removed. Outlived by `cancel`.
  static absl::StatusOr<std::unique_ptr<LayerStore>> Create(
      const std::string& root, const std::vector<LayerRecord>& records,
      const CancelToken* cancel, std::set<int64_t>& missing);

  // Fills `directory` (empty, for this layer alone) and says in the record
  // all but its number and diff_id.
  using Maker =
      std::function<absl::Status(os::UniqueFd directory, LayerRecord& record)>;

  // The layer if it is there; else waits for another thread that is making
  // it; else makes it.
  absl::StatusOr<Lease> GetOrMake(const Digest& diff_id,
                                  const std::string& chain_id,
                                  const Maker& make);

  // The layer's directory, wherever it is now.
  absl::StatusOr<os::UniqueFd> Open(int64_t number) const;
  // What a layer that is not published yet must take from those below it.
  std::vector<std::string> ImplicitDirectories(int64_t number) const;

  // Syncs and renames the layers that need it; call with leases on all. The
  // result: the records of those that have none in the database yet.
  absl::StatusOr<std::vector<LayerRecord>> Publish(
      const std::vector<int64_t>& numbers);
  // After the records are in the database.
  void SetRecorded(const std::vector<LayerRecord>& records);
  bool IsRecorded(int64_t number) const;

  // Users of a layer beside leases: images, and holders.
  void AddUse(const std::vector<int64_t>& numbers);
  void DropUse(const std::vector<int64_t>& numbers);

  // Takes the layers that nothing uses out of the store. The caller deletes
  // their records, then calls Delete.
  std::vector<LayerRecord> TakeUnused();
  absl::Status Delete(const std::vector<LayerRecord>& layers);

  // NotFound if there is no such layer.
  absl::StatusOr<LayerRecord> Find(int64_t number) const;
  std::vector<LayerRecord> List() const;

  // Wakes waiting calls after the token was cancelled.
  void Wake();

  // "layers/<number>", relative to the store's root, and back (-1: neither).
  static std::string DirectoryOf(int64_t number);
  static int64_t NumberOf(const std::string& directory);

 private:
  struct Layer {
    LayerRecord record;
    bool published = false;
    bool recorded = false;
    int uses = 0;
  };

  LayerStore(os::UniqueFd directory, const CancelToken* cancel)
      : directory_(std::move(directory)), cancel_(cancel) {}

  absl::Status Load(const std::vector<LayerRecord>& records,
                    std::set<int64_t>& missing);
  absl::StatusOr<LayerRecord> Make(const Digest& diff_id, const Maker& make);
  Layer* FindUsable(const Digest& diff_id, const std::string& chain_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(int64_t number);

  const os::UniqueFd directory_;  // <root>/layers
  const CancelToken* const cancel_;

  mutable absl::Mutex mutex_;
  std::map<int64_t, Layer> layers_ ABSL_GUARDED_BY(mutex_);
  std::set<Digest> making_ ABSL_GUARDED_BY(mutex_);
  int64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;

  // One Publish at a time.
  absl::Mutex publish_mutex_;
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_LAYER_STORE_H_
