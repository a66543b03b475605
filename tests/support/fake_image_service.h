// An ImageService in memory: a pull makes an image out of its reference.
//
// Thread-safe.

#ifndef PINION_TESTS_SUPPORT_FAKE_IMAGE_SERVICE_H_
#define PINION_TESTS_SUPPORT_FAKE_IMAGE_SERVICE_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "image/image_service.h"

namespace pinion::testing_support {

class FakeImageService : public image::ImageService {
 public:
  // What the next pulls fail with, if not OK. Set before other threads use
  // the object.
  absl::Status pull_status;

  absl::StatusOr<std::string> Pull(
      const std::string& reference,
      const image::Credentials& credentials) override;
  absl::StatusOr<Imported> Import(const std::string& archive_path,
                                  const std::string& reference) override;
  std::vector<image::ImageInfo> List() const override;
  std::optional<image::ImageInfo> Find(
      const std::string& reference) const override;
  absl::Status Remove(const std::string& reference) override;
  absl::StatusOr<image::ImageInfo> Hold(const std::string& reference,
                                        const std::string& holder) override;
  absl::Status HoldLayers(const std::vector<std::string>& layer_dirs,
                          const std::string& holder) override;
  void Release(const std::string& holder) override;
  absl::Status CollectGarbage() override;
  absl::StatusOr<image::FsUsage> Usage() const override;

  void Put(const image::ImageInfo& image);
  image::Credentials last_credentials() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, image::ImageInfo> images_ ABSL_GUARDED_BY(mutex_);
  image::Credentials last_credentials_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_FAKE_IMAGE_SERVICE_H_
