#include "image/installer.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <numeric>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "image/config.h"
#include "image/inflate.h"
#include "image/inherit.h"
#include "image/layer_tree.h"
#include "image/layer_unpacker.h"

namespace pinion::image {
namespace {

// Of one unpacked tar: files as UnpackLimits bounds them, and headers.
constexpr uint64_t kMaxTarBytes = uint64_t{72} << 30;

// Polled between chunks, so that a cancelled pull of an archive ends, too.
class Cancellable : public ByteStream {
 public:
  Cancellable(ByteStream* source, const CancelToken* cancel)
      : source_(source), cancel_(cancel) {}

  absl::StatusOr<std::string_view> Next() override {
    if (cancel_ != nullptr) PINION_RETURN_IF_ERROR(cancel_->Check());
    return source_->Next();
  }

 private:
  ByteStream* const source_;
  const CancelToken* const cancel_;
};

// The digest of a layer and all below it (OCI image specification,
// "ChainID").
std::vector<std::string> ChainIds(const std::vector<Digest>& diff_ids) {
  std::vector<std::string> chains;
  for (const Digest& diff_id : diff_ids) {
    chains.push_back(
        chains.empty()
            ? diff_id.text()
            : Sha256::Of(absl::StrCat(chains.back(), " ", diff_id.text()))
                  .text());
  }
  return chains;
}

class Installation {
 public:
  Installation(BlobSource& source, const Manifest& manifest,
               const ParsedConfig& config, Store& store,
               const InstallOptions& options)
      : source_(source),
        manifest_(manifest),
        config_(config),
        chains_(ChainIds(config.diff_ids)),
        store_(store),
        options_(options),
        leases_(manifest.layers.size()) {}

  // All layers, each leased until this object goes.
  absl::Status FetchLayers() {
    // The largest first: it takes longest. Repeated ones need no second
    // thread to wait for the first.
    std::vector<size_t> order(manifest_.layers.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [this](size_t a, size_t b) {
      return manifest_.layers[a].size > manifest_.layers[b].size;
    });
    std::atomic<size_t> next{0};
    const auto work = [&] {
      for (size_t i = next++; i < order.size() && !failed_; i = next++) {
        absl::Status status = FetchLayer(order[i]);
        if (!status.ok()) Fail(std::move(status));
      }
    };
    const size_t threads =
        std::min(order.size(),
                 static_cast<size_t>(std::max(options_.parallel_layers, 1)));
    std::vector<std::thread> workers;
    for (size_t i = 1; i < threads; ++i) workers.emplace_back(work);
    work();
    for (std::thread& worker : workers) worker.join();
    const absl::MutexLock lock(&mutex_);
    return first_error_;
  }

  // Once all are there: from the bottom up, as a layer may inherit what the
  // one below it has inherited.
  absl::Status Inherit() {
    const std::vector<int64_t> layers = numbers();
    const bool needed =
        std::any_of(layers.begin(), layers.end(), [this](int64_t number) {
          return !store_.layers().ImplicitDirectories(number).empty();
        });
    if (!needed) return absl::OkStatus();
    std::vector<os::UniqueFd> open;
    for (size_t i = 0; i < layers.size(); ++i) {
      PINION_ASSIGN_OR_RETURN(os::UniqueFd layer,
                              store_.layers().Open(layers[i]));
      const std::vector<std::string> implicit =
          store_.layers().ImplicitDirectories(layers[i]);
      if (!implicit.empty()) {
        std::vector<const os::UniqueFd*> below;
        for (size_t j = i; j-- > 0;) below.push_back(&open[j]);
        PINION_RETURN_IF_ERROR_AS(InheritAttributes(layer, implicit, below),
                                  absl::StrCat("layer ", layers[i]));
      }
      open.push_back(std::move(layer));
    }
    return absl::OkStatus();
  }

  std::vector<int64_t> numbers() const {
    std::vector<int64_t> result;
    for (const auto& lease : leases_) result.push_back(lease->number());
    return result;
  }

 private:
  void Fail(absl::Status status) {
    failed_ = true;
    const absl::MutexLock lock(&mutex_);
    if (first_error_.ok()) first_error_ = std::move(status);
  }

  absl::Status FetchLayer(size_t index) {
    const auto make = [this, index](os::UniqueFd directory,
                                    LayerRecord& record) {
      return UnpackInSlot(index, std::move(directory), record);
    };
    PINION_ASSIGN_OR_RETURN_AS(
        LayerStore::Lease lease,
        store_.layers().GetOrMake(config_.diff_ids[index], chains_[index],
                                  make),
        absl::StrCat("layer ", manifest_.layers[index].digest.text()));
    leases_[index].emplace(std::move(lease));
    return absl::OkStatus();
  }

  absl::Status UnpackInSlot(size_t index, os::UniqueFd directory,
                            LayerRecord& record) {
    if (options_.slots == nullptr) {
      return Unpack(index, std::move(directory), record);
    }
    if (!options_.slots->Take(options_.cancel)) return options_.cancel->Check();
    const absl::Status status = Unpack(index, std::move(directory), record);
    options_.slots->Give();
    return status;
  }

  absl::Status Unpack(size_t index, os::UniqueFd directory,
                      LayerRecord& record) {
    const Descriptor& blob = manifest_.layers[index];
    PINION_ASSIGN_OR_RETURN(const auto stream, source_.OpenBlob(blob));
    Cancellable cancellable(stream.get(), options_.cancel);
    HashingStream packed(&cancellable, blob.size);
    PINION_ASSIGN_OR_RETURN(const auto inflated, MakeInflateStream(&packed));
    HashingStream unpacked(inflated.get(), kMaxTarBytes);
    LayerTree tree(std::move(directory));
    const absl::Status status = UnpackLayer(unpacked, tree);
    if (options_.on_bytes) options_.on_bytes(packed.size());
    PINION_RETURN_IF_ERROR(status);
    PINION_RETURN_IF_ERROR(unpacked.Drain());
    PINION_RETURN_IF_ERROR(packed.Drain());
    if (packed.size() != blob.size) {
      return absl::InvalidArgumentError(
          absl::StrCat("blob has ", packed.size(), " bytes, not ", blob.size));
    }
    PINION_RETURN_IF_ERROR(CheckDigest(packed.Finish(), blob.digest, "blob"));
    PINION_RETURN_IF_ERROR(CheckDigest(
        unpacked.Finish(), config_.diff_ids[index], "unpacked layer"));
    record.implicit.assign(tree.implicit().begin(), tree.implicit().end());
    if (!record.implicit.empty()) record.chain_id = chains_[index];
    record.bytes = tree.bytes();
    record.inodes = tree.inodes();
    record.root_given = tree.root_given();
    record.root_opaque = tree.root_opaque();
    return absl::OkStatus();
  }

  BlobSource& source_;
  const Manifest& manifest_;
  const ParsedConfig& config_;
  const std::vector<std::string> chains_;
  Store& store_;
  const InstallOptions& options_;
  std::vector<std::optional<LayerStore::Lease>> leases_;

  std::atomic<bool> failed_{false};
  absl::Mutex mutex_;
  absl::Status first_error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

bool StreamSlots::Take(const CancelToken* cancel) {
  const auto may_go_on = [this, cancel]() {
    mutex_.AssertReaderHeld();
    return free_ > 0 || (cancel != nullptr && cancel->cancelled());
  };
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&may_go_on));
  if (free_ == 0) return false;
  --free_;
  return true;
}

void StreamSlots::Give() {
  const absl::MutexLock lock(&mutex_);
  ++free_;
}

void StreamSlots::Wake() {
  // Conditions are evaluated anew when the mutex is released.
  const absl::MutexLock lock(&mutex_);
}

absl::StatusOr<std::string> ReadBlob(BlobSource& source,
                                     const Descriptor& descriptor) {
  if (descriptor.size > kMaxJsonBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        descriptor.digest.text(), " is longer than ", kMaxJsonBytes, " bytes"));
  }
  PINION_ASSIGN_OR_RETURN(const auto stream, source.OpenBlob(descriptor));
  PINION_ASSIGN_OR_RETURN(std::string text, ReadStream(*stream, kMaxJsonBytes));
  PINION_RETURN_IF_ERROR(
      CheckDigest(Sha256::Of(text), descriptor.digest, "blob"));
  return text;
}

absl::StatusOr<std::string> InstallImage(
    BlobSource& source, const Manifest& manifest,
    const std::vector<std::string>& references, Store& store,
    const InstallOptions& options) {
  PINION_ASSIGN_OR_RETURN_AS(std::string text,
                             ReadBlob(source, manifest.config),
                             "image configuration");
  PINION_ASSIGN_OR_RETURN(const ParsedConfig config, ParseConfig(text));
  if (config.diff_ids.size() != manifest.layers.size() ||
      manifest.layers.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("manifest has ", manifest.layers.size(),
                     " layers, its configuration ", config.diff_ids.size()));
  }
  absl::Status status;
  {
    Installation installation(source, manifest, config, store, options);
    status = installation.FetchLayers();
    if (status.ok()) status = installation.Inherit();
    if (status.ok()) {
      status = store.Add({manifest.config.digest.text(), std::move(text),
                          installation.numbers()},
                         references);
    }
  }
  if (!status.ok()) {
    // Layers whose image went while this pull leased them.
    (void)store.Sweep();
    return status;
  }
  return manifest.config.digest.text();
}

}  // namespace pinion::image
