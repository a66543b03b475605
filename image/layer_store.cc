#include "image/layer_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::image {
namespace {

constexpr char kDirectory[] = "layers";

std::string TemporaryName(int64_t number) {
  return absl::StrCat("tmp-", number);
}

}  // namespace

LayerStore::Lease::~Lease() {
  if (store_ != nullptr) store_->Drop(number_);
}

LayerStore::Lease::Lease(Lease&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), number_(other.number_) {}

std::string LayerStore::DirectoryOf(int64_t number) {
  return absl::StrCat(kDirectory, "/", number);
}

int64_t LayerStore::NumberOf(const std::string& directory) {
  int64_t number = -1;
  absl::string_view text = directory;
  if (!absl::ConsumePrefix(&text, absl::StrCat(kDirectory, "/")) ||
      !absl::SimpleAtoi(text, &number) || DirectoryOf(number) != directory) {
    return -1;
  }
  return number;
}

absl::StatusOr<std::unique_ptr<LayerStore>> LayerStore::Create(
    const std::string& root, const std::vector<LayerRecord>& records,
    const CancelToken* cancel, std::set<int64_t>& missing) {
  const std::string path = absl::StrCat(root, "/", kDirectory);
  // 0700: set-uid programs of images are nothing for the host's users.
  PINION_RETURN_IF_ERROR(os::MakeDirAt(AT_FDCWD, path, 0700));
  PINION_ASSIGN_OR_RETURN(
      os::UniqueFd directory,
      os::OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  auto store =
      std::unique_ptr<LayerStore>(new LayerStore(std::move(directory), cancel));
  PINION_RETURN_IF_ERROR(store->Load(records, missing));
  return store;
}

absl::Status LayerStore::Load(const std::vector<LayerRecord>& records,
                              std::set<int64_t>& missing) {
  const absl::MutexLock lock(&mutex_);
  for (const LayerRecord& record : records) {
    next_number_ = std::max(next_number_, record.number + 1);
    struct stat st = {};
    const std::string name = absl::StrCat(record.number);
    if (fstatat(directory_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) !=
            0 ||
        !S_ISDIR(st.st_mode)) {
      missing.insert(record.number);
      continue;
    }
    layers_[record.number] = {record, true, true, 0};
  }
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                          os::ListDirAt(directory_.get(), "."));
  for (const std::string& name : names) {
    int64_t number = -1;
    if (absl::SimpleAtoi(name, &number) && absl::StrCat(number) == name &&
        layers_.count(number) != 0) {
      continue;
    }
    next_number_ = std::max(next_number_, number + 1);
    PINION_RETURN_IF_ERROR_AS(os::RemoveTreeAt(directory_.get(), name),
                              "remove what an interrupted pull left");
  }
  return absl::OkStatus();
}

LayerStore::Layer* LayerStore::FindUsable(const Digest& diff_id,
                                          const std::string& chain_id) {
  for (auto& [number, layer] : layers_) {
    if (layer.record.diff_id == diff_id.text() &&
        (layer.record.chain_id.empty() || layer.record.chain_id == chain_id)) {
      return &layer;
    }
  }
  return nullptr;
}

absl::StatusOr<LayerStore::Lease> LayerStore::GetOrMake(
    const Digest& diff_id, const std::string& chain_id, const Maker& make) {
  {
    const absl::MutexLock lock(&mutex_);
    while (true) {
      PINION_RETURN_IF_ERROR(cancel_->Check());
      if (Layer* layer = FindUsable(diff_id, chain_id); layer != nullptr) {
        ++layer->uses;
        return Lease(this, layer->record.number);
      }
      if (making_.insert(diff_id).second) break;
      const auto may_go_on = [this, &diff_id]() {
        mutex_.AssertReaderHeld();
        return cancel_->cancelled() || making_.count(diff_id) == 0;
      };
      mutex_.Await(absl::Condition(&may_go_on));
    }
  }
  absl::StatusOr<LayerRecord> record = Make(diff_id, make);
  const absl::MutexLock lock(&mutex_);
  making_.erase(diff_id);
  if (!record.ok()) return record.status();
  const int64_t number = record->number;
  layers_[number] = {*std::move(record), false, false, 1};
  return Lease(this, number);
}

absl::StatusOr<LayerRecord> LayerStore::Make(const Digest& diff_id,
                                             const Maker& make) {
  LayerRecord record;
  record.diff_id = diff_id.text();
  {
    const absl::MutexLock lock(&mutex_);
    record.number = next_number_++;
  }
  const std::string name = TemporaryName(record.number);
  PINION_RETURN_IF_ERROR(os::MakeDirAt(directory_.get(), name, 0700));
  auto directory =
      os::OpenAt(directory_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  absl::Status status = directory.status();
  if (status.ok()) status = make(*std::move(directory), record);
  if (status.ok()) return record;
  const absl::Status removed = os::RemoveTreeAt(directory_.get(), name);
  if (!removed.ok()) {
    // The pull's own error is what the caller needs; the next start removes
    // the rest.
    Log(LogLevel::kWarning, "partial layer not removed",
        {{"layer", name}, {"error", std::string(removed.message())}});
  }
  return status;
}

void LayerStore::Drop(int64_t number) {
  std::vector<LayerRecord> gone;
  {
    const absl::MutexLock lock(&mutex_);
    Layer& layer = layers_.at(number);
    --layer.uses;
    // With a record it waits for TakeUnused, as the record must go first.
    if (layer.uses > 0 || layer.recorded) return;
    gone.push_back(layer.record);
    layers_.erase(number);
  }
  const absl::Status status = Delete(gone);
  if (!status.ok()) {
    Log(LogLevel::kWarning, "unused layer not removed",
        {{"error", std::string(status.message())}});
  }
}

absl::StatusOr<os::UniqueFd> LayerStore::Open(int64_t number) const {
  // Held, so that Publish does not rename it meanwhile.
  const absl::MutexLock lock(&mutex_);
  const auto found = layers_.find(number);
  if (found == layers_.end()) {
    return absl::NotFoundError(absl::StrCat("no layer ", number));
  }
  return os::OpenAt(
      directory_.get(),
      found->second.published ? absl::StrCat(number) : TemporaryName(number),
      O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

std::vector<std::string> LayerStore::ImplicitDirectories(int64_t number) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = layers_.find(number);
  if (found == layers_.end() || found->second.published) return {};
  return found->second.record.implicit;
}

absl::StatusOr<std::vector<LayerRecord>> LayerStore::Publish(
    const std::vector<int64_t>& numbers) {
  const absl::MutexLock publishing(&publish_mutex_);
  std::vector<LayerRecord> unrecorded;
  std::vector<int64_t> unpublished;
  {
    const absl::MutexLock lock(&mutex_);
    for (const int64_t number : std::set(numbers.begin(), numbers.end())) {
      const Layer& layer = layers_.at(number);
      if (!layer.recorded) unrecorded.push_back(layer.record);
      if (!layer.published) unpublished.push_back(number);
    }
  }
  if (unpublished.empty()) return unrecorded;
  // The content before the name, the name before the record: after a power
  // cut a record never speaks of a layer that is not whole.
  if (syncfs(directory_.get()) != 0) return os::ErrnoStatus("syncfs layers");
  for (const int64_t number : unpublished) {
    const std::string from = TemporaryName(number);
    const std::string to = absl::StrCat(number);
    const absl::MutexLock lock(&mutex_);
    if (renameat(directory_.get(), from.c_str(), directory_.get(),
                 to.c_str()) != 0) {
      return os::ErrnoStatus("rename layer " + from);
    }
    Layer& layer = layers_.at(number);
    layer.published = true;
    layer.record.implicit.clear();
  }
  if (fsync(directory_.get()) != 0) return os::ErrnoStatus("fsync layers");
  return unrecorded;
}

void LayerStore::SetRecorded(const std::vector<LayerRecord>& records) {
  const absl::MutexLock lock(&mutex_);
  for (const LayerRecord& record : records) {
    layers_.at(record.number).recorded = true;
  }
}

bool LayerStore::IsRecorded(int64_t number) const {
  const absl::MutexLock lock(&mutex_);
  return layers_.at(number).recorded;
}

void LayerStore::AddUse(const std::vector<int64_t>& numbers) {
  const absl::MutexLock lock(&mutex_);
  for (const int64_t number : numbers) ++layers_.at(number).uses;
}

void LayerStore::DropUse(const std::vector<int64_t>& numbers) {
  const absl::MutexLock lock(&mutex_);
  for (const int64_t number : numbers) --layers_.at(number).uses;
}

std::vector<LayerRecord> LayerStore::TakeUnused() {
  std::vector<LayerRecord> unused;
  const absl::MutexLock lock(&mutex_);
  for (auto it = layers_.begin(); it != layers_.end();) {
    if (it->second.uses > 0) {
      ++it;
      continue;
    }
    unused.push_back(it->second.record);
    it = layers_.erase(it);
  }
  return unused;
}

absl::Status LayerStore::Delete(const std::vector<LayerRecord>& layers) {
  absl::Status result;
  for (const LayerRecord& layer : layers) {
    for (const std::string& name :
         {absl::StrCat(layer.number), TemporaryName(layer.number)}) {
      const absl::Status status = os::RemoveTreeAt(directory_.get(), name);
      if (result.ok()) result = status;
    }
  }
  return result;
}

absl::StatusOr<LayerRecord> LayerStore::Find(int64_t number) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = layers_.find(number);
  if (found == layers_.end()) {
    return absl::NotFoundError(absl::StrCat("no layer ", number));
  }
  return found->second.record;
}

std::vector<LayerRecord> LayerStore::List() const {
  std::vector<LayerRecord> result;
  const absl::MutexLock lock(&mutex_);
  for (const auto& [number, layer] : layers_) result.push_back(layer.record);
  return result;
}

void LayerStore::Wake() {
  // Conditions are evaluated anew when the mutex is released.
  const absl::MutexLock lock(&mutex_);
}

}  // namespace pinion::image
