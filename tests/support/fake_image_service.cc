#include "tests/support/fake_image_service.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/id.h"

namespace pinion::testing_support {
namespace {

bool Has(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

}  // namespace

absl::StatusOr<std::string> FakeImageService::Pull(
    const std::string& reference, const image::Credentials& credentials) {
  if (const auto image = Find(reference)) return image->id;
  const absl::MutexLock lock(&mutex_);
  last_credentials_ = credentials;
  if (!pull_status.ok()) return pull_status;
  if (reference.find("//") != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", reference, "\" is no image reference"));
  }
  image::ImageInfo image;
  image.id = "sha256:" + NewId();
  image.repo_tags = {reference};
  image.repo_digests = {
      absl::StrCat(reference.substr(0, reference.rfind(':')), "@", image.id)};
  image.size_bytes = 1234;
  image.config.user = "1002:7";
  images_[image.id] = image;
  return image.id;
}

absl::StatusOr<image::ImageService::Imported> FakeImageService::Import(
    const std::string& archive_path, const std::string& reference) {
  if (archive_path.find("missing") != std::string::npos) {
    return absl::NotFoundError("openat " + archive_path + ": ENOENT");
  }
  const std::string name = reference.empty() ? "archive:latest" : reference;
  const auto id = Pull(name, {});
  if (!id.ok()) return id.status();
  return Imported{*id, {name}};
}

std::vector<image::ImageInfo> FakeImageService::List() const {
  const absl::MutexLock lock(&mutex_);
  std::vector<image::ImageInfo> list;
  for (const auto& [id, image] : images_) list.push_back(image);
  return list;
}

std::optional<image::ImageInfo> FakeImageService::Find(
    const std::string& reference) const {
  const absl::MutexLock lock(&mutex_);
  for (const auto& [id, image] : images_) {
    if (id == reference || Has(image.repo_tags, reference) ||
        Has(image.repo_digests, reference)) {
      return image;
    }
  }
  return std::nullopt;
}

absl::Status FakeImageService::Remove(const std::string& reference) {
  const auto image = Find(reference);
  if (!image) return absl::OkStatus();
  if (image->pinned) return absl::FailedPreconditionError("pinned");
  const absl::MutexLock lock(&mutex_);
  images_.erase(image->id);
  return absl::OkStatus();
}

absl::StatusOr<image::ImageInfo> FakeImageService::Hold(
    const std::string& reference, const std::string&) {
  const auto image = Find(reference);
  if (!image) return absl::NotFoundError("no image " + reference);
  return *image;
}

absl::Status FakeImageService::HoldLayers(const std::vector<std::string>&,
                                          const std::string&) {
  return absl::OkStatus();
}

void FakeImageService::Release(const std::string&) {}

absl::Status FakeImageService::CollectGarbage() { return absl::OkStatus(); }

absl::StatusOr<image::FsUsage> FakeImageService::Usage() const {
  return image::FsUsage{"/var/lib/pinion", 98765, 43};
}

void FakeImageService::Put(const image::ImageInfo& image) {
  const absl::MutexLock lock(&mutex_);
  images_[image.id] = image;
}

image::Credentials FakeImageService::last_credentials() const {
  const absl::MutexLock lock(&mutex_);
  return last_credentials_;
}

}  // namespace pinion::testing_support
