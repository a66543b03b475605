#include "image/store.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "image/config.h"
#include "image/reference.h"

namespace pinion::image {
namespace {

constexpr char kIdPrefix[] = "sha256:";

bool IsPinned(const ImageInfo& info, const std::vector<std::string>& globs) {
  const auto matches = [&globs](const std::string& name) {
    return std::any_of(globs.begin(), globs.end(), [&](const auto& glob) {
      return MatchesGlob(glob, name);
    });
  };
  return matches(info.id) ||
         std::any_of(info.repo_tags.begin(), info.repo_tags.end(), matches) ||
         std::any_of(info.repo_digests.begin(), info.repo_digests.end(),
                     matches);
}

}  // namespace

Store::Store(const Options& options, std::unique_ptr<Records> records,
             std::unique_ptr<LayerStore> layers)
    : options_(options),
      records_(std::move(records)),
      layers_(std::move(layers)),
      snapshot_(std::make_shared<Snapshot>()) {}

absl::StatusOr<std::unique_ptr<Store>> Store::Create(
    const Options& options, const CancelToken* cancel) {
  PINION_ASSIGN_OR_RETURN(auto records, Records::Open(options.database));
  PINION_ASSIGN_OR_RETURN(AllRecords all, records->Load());
  std::set<int64_t> missing;
  PINION_ASSIGN_OR_RETURN(
      auto layers,
      LayerStore::Create(options.root, all.layers, cancel, missing));
  auto store = std::unique_ptr<Store>(
      new Store(options, std::move(records), std::move(layers)));
  PINION_RETURN_IF_ERROR(store->Load(std::move(all), missing));
  return store;
}

absl::Status Store::Load(AllRecords all, const std::set<int64_t>& missing) {
  const absl::MutexLock changing(&changes_);
  std::set<std::string> dropped;
  const absl::MutexLock lock(&state_);
  for (ImageRecord& record : all.images) {
    const std::string id = record.id;
    const std::vector<int64_t> numbers = record.layers;
    auto image = Describe(std::move(record));
    if (!image.ok()) {
      // Serving it would start containers on half an image; the kubelet
      // pulls again what it needs.
      Log(LogLevel::kError, "image is damaged, forgetting it",
          {{"image", id}, {"error", std::string(image.status().message())}});
      PINION_RETURN_IF_ERROR(records_->DeleteImage(id));
      dropped.insert(id);
      continue;
    }
    layers_->AddUse(numbers);
    images_.emplace(id, *std::move(image));
  }
  for (auto& [key, id] : all.references) {
    if (images_.count(id) != 0) references_.emplace(key, id);
  }
  PINION_RETURN_IF_ERROR(records_->DeleteLayers(
      std::vector<int64_t>(missing.begin(), missing.end())));
  for (const LayerRecord& layer : layers_->List()) {
    held_for_start_.push_back(layer.number);
  }
  layers_->AddUse(held_for_start_);
  Publish();
  return absl::OkStatus();
}

absl::StatusOr<Store::Image> Store::Describe(ImageRecord record) const {
  Image image;
  PINION_ASSIGN_OR_RETURN(ParsedConfig parsed, ParseConfig(record.config));
  image.info.id = record.id;
  image.info.config = std::move(parsed.config);
  if (record.layers.size() != parsed.diff_ids.size()) {
    return absl::DataLossError("the record of its layers is incomplete");
  }
  std::set<int64_t> seen;
  bool visible = true;
  bool root_given = false;
  for (size_t i = record.layers.size(); i-- > 0;) {
    const int64_t number = record.layers[i];
    PINION_ASSIGN_OR_RETURN(const LayerRecord layer, layers_->Find(number));
    if (layer.diff_id != parsed.diff_ids[i].text()) {
      return absl::DataLossError("its layers are not those of its record");
    }
    // overlayfs takes a directory once; the topmost one shows all there is.
    if (!seen.insert(number).second) continue;
    image.info.size_bytes += layer.bytes;
    if (!visible) continue;
    image.info.layer_dirs.push_back(LayerStore::DirectoryOf(number));
    if (!root_given) {
      image.info.root_layer_dir = LayerStore::DirectoryOf(number);
      root_given = layer.root_given;
    }
    visible = !layer.root_opaque;
  }
  image.record = std::move(record);
  return image;
}

void Store::Publish() {
  auto next = std::make_shared<Snapshot>();
  for (const auto& [id, image] : images_) next->images.emplace(id, image.info);
  next->references = references_;
  for (const auto& [key, id] : references_) {
    ImageInfo& info = next->images.at(id);
    const bool digest = key.find('@') != std::string::npos;
    (digest ? info.repo_digests : info.repo_tags).push_back(key);
  }
  for (auto& [id, info] : next->images) {
    info.pinned = IsPinned(info, options_.pinned_images);
  }
  const absl::MutexLock lock(&snapshot_mutex_);
  snapshot_ = std::move(next);
}

std::shared_ptr<const Store::Snapshot> Store::snapshot() const {
  const absl::MutexLock lock(&snapshot_mutex_);
  return snapshot_;
}

absl::Status Store::Add(ImageRecord record,
                        const std::vector<std::string>& references) {
  PINION_ASSIGN_OR_RETURN(const std::vector<LayerRecord> new_layers,
                          layers_->Publish(record.layers));
  const absl::MutexLock changing(&changes_);
  PINION_ASSIGN_OR_RETURN(Image image, Describe(std::move(record)));
  // Another pull may have recorded some of them since.
  std::vector<LayerRecord> unrecorded;
  for (const LayerRecord& layer : new_layers) {
    if (!layers_->IsRecorded(layer.number)) unrecorded.push_back(layer);
  }
  PINION_RETURN_IF_ERROR(
      records_->AddImage(image.record, unrecorded, references));
  layers_->SetRecorded(unrecorded);
  const absl::MutexLock lock(&state_);
  for (const std::string& key : references) {
    references_[key] = image.record.id;
  }
  const auto old = images_.find(image.record.id);
  layers_->AddUse(image.record.layers);
  if (old != images_.end()) {
    layers_->DropUse(old->second.record.layers);
    images_.erase(old);
  }
  const std::string id = image.record.id;
  images_.emplace(id, std::move(image));
  Publish();
  return absl::OkStatus();
}

std::vector<ImageInfo> Store::List() const {
  std::vector<ImageInfo> result;
  const auto current = snapshot();
  for (const auto& [id, info] : current->images) result.push_back(info);
  return result;
}

const ImageInfo* Store::Resolve(const Snapshot& snapshot,
                                const std::string& reference) const {
  const auto by_id = snapshot.images.find(reference);
  if (by_id != snapshot.images.end()) return &by_id->second;
  const auto parsed = ParseReference(reference, options_.default_registry);
  if (parsed.ok()) {
    const auto key = snapshot.references.find(parsed->Key());
    if (key != snapshot.references.end()) {
      return &snapshot.images.at(key->second);
    }
  }
  absl::string_view hex = reference;
  absl::ConsumePrefix(&hex, kIdPrefix);
  if (!IsIdPrefix(std::string(hex))) return nullptr;
  const std::string prefix = absl::StrCat(kIdPrefix, hex);
  const auto first = snapshot.images.lower_bound(prefix);
  if (first == snapshot.images.end() ||
      !absl::StartsWith(first->first, prefix)) {
    return nullptr;
  }
  const auto second = std::next(first);
  if (second != snapshot.images.end() &&
      absl::StartsWith(second->first, prefix)) {
    return nullptr;
  }
  return &first->second;
}

std::optional<ImageInfo> Store::Find(const std::string& reference) const {
  const auto current = snapshot();
  const ImageInfo* info = Resolve(*current, reference);
  if (info == nullptr) return std::nullopt;
  return *info;
}

absl::Status Store::Remove(const std::string& reference) {
  std::string id;
  absl::Status forgotten;
  {
    const absl::MutexLock changing(&changes_);
    const auto current = snapshot();
    const ImageInfo* info = Resolve(*current, reference);
    if (info == nullptr) return absl::OkStatus();
    if (info->pinned) {
      return absl::FailedPreconditionError(
          absl::StrCat("image ", info->id, " is pinned by the configuration"));
    }
    id = info->id;
    forgotten = records_->DeleteImage(id);
    // Without space SQLite cannot even forget. Space is what removal is to
    // make, so the layers go first then: were we to die in between, the next
    // start would find the image damaged and forget it.
    if (!forgotten.ok() && !absl::IsResourceExhausted(forgotten)) {
      return forgotten;
    }
    const absl::MutexLock lock(&state_);
    const auto image = images_.find(info->id);
    layers_->DropUse(image->second.record.layers);
    images_.erase(image);
    std::erase_if(references_, [info](const auto& entry) {
      return entry.second == info->id;
    });
    Publish();
  }
  PINION_RETURN_IF_ERROR(Sweep());
  return forgotten.ok() ? forgotten : records_->DeleteImage(id);
}

absl::StatusOr<ImageInfo> Store::Hold(const std::string& reference,
                                      const std::string& holder) {
  const absl::MutexLock lock(&state_);
  const auto current = snapshot();
  const ImageInfo* info = Resolve(*current, reference);
  if (info == nullptr) {
    return absl::NotFoundError(absl::StrCat("no image ", reference));
  }
  const std::vector<int64_t>& numbers = images_.at(info->id).record.layers;
  layers_->AddUse(numbers);
  std::vector<int64_t>& held = holders_[holder];
  held.insert(held.end(), numbers.begin(), numbers.end());
  return *info;
}

absl::Status Store::HoldLayers(const std::vector<std::string>& layer_dirs,
                               const std::string& holder) {
  std::vector<int64_t> numbers;
  const absl::MutexLock lock(&state_);
  for (const std::string& directory : layer_dirs) {
    const int64_t number = LayerStore::NumberOf(directory);
    PINION_RETURN_IF_ERROR(layers_->Find(number).status());
    numbers.push_back(number);
  }
  layers_->AddUse(numbers);
  std::vector<int64_t>& held = holders_[holder];
  held.insert(held.end(), numbers.begin(), numbers.end());
  return absl::OkStatus();
}

void Store::Release(const std::string& holder) {
  {
    const absl::MutexLock lock(&state_);
    const auto held = holders_.find(holder);
    if (held == holders_.end()) return;
    layers_->DropUse(held->second);
    holders_.erase(held);
  }
  const absl::Status status = Sweep();
  if (!status.ok()) {
    Log(LogLevel::kWarning, "unused layers not removed",
        {{"error", std::string(status.message())}});
  }
}

absl::Status Store::CollectGarbage() {
  {
    const absl::MutexLock lock(&state_);
    layers_->DropUse(held_for_start_);
    held_for_start_.clear();
  }
  return Sweep();
}

absl::Status Store::Sweep() {
  std::vector<LayerRecord> unused;
  std::vector<int64_t> numbers;
  absl::Status forgotten;
  {
    const absl::MutexLock changing(&changes_);
    unused = layers_->TakeUnused();
    for (const LayerRecord& layer : unused) numbers.push_back(layer.number);
    forgotten = records_->DeleteLayers(numbers);
  }
  PINION_RETURN_IF_ERROR(layers_->Delete(unused));
  // As in Remove: what could not be forgotten for want of space can be now.
  return forgotten.ok() ? forgotten : records_->DeleteLayers(numbers);
}

}  // namespace pinion::image
