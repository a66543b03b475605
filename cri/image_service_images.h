// The RPCs of the CRI's image service.
//
// Thread-safe; holds nothing but pointers.

#ifndef PINION_CRI_IMAGE_SERVICE_IMAGES_H_
#define PINION_CRI_IMAGE_SERVICE_IMAGES_H_

#include "absl/status/status.h"
#include "base/clock.h"
#include "cri/api.h"

namespace pinion::image {
class ImageService;
}
namespace pinion::runtime {
class Runtime;
}

namespace pinion::cri {

class ImageRpcs {
 public:
  ImageRpcs(image::ImageService* images, runtime::Runtime* runtime,
            const Clock* clock)
      : images_(*images), runtime_(*runtime), clock_(*clock) {}

  absl::Status ListImages(const api::ListImagesRequest& request,
                          api::ListImagesResponse* response);
  // A missing image is an empty answer.
  absl::Status ImageStatus(const api::ImageStatusRequest& request,
                           api::ImageStatusResponse* response);
  // Answers the image's id.
  absl::Status PullImage(const api::PullImageRequest& request,
                         api::PullImageResponse* response);
  // With all its tags; a missing image succeeds.
  absl::Status RemoveImage(const api::RemoveImageRequest& request,
                           api::RemoveImageResponse* response);
  // Of the layers, and of the containers' writable layers.
  absl::Status ImageFsInfo(const api::ImageFsInfoRequest& request,
                           api::ImageFsInfoResponse* response);

 private:
  image::ImageService& images_;
  runtime::Runtime& runtime_;
  const Clock& clock_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_IMAGE_SERVICE_IMAGES_H_
