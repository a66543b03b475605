#include "cri/image_service_images.h"

#include <string>

#include "base/status_macros.h"
#include "cri/info_json.h"
#include "cri/translate_image.h"
#include "image/image_service.h"
#include "runtime/runtime.h"

namespace pinion::cri {

absl::Status ImageRpcs::ListImages(const api::ListImagesRequest& request,
                                   api::ListImagesResponse* response) {
  const api::ImageSpec& wanted = request.filter().image();
  if (wanted.image().empty()) {
    for (const image::ImageInfo& info : images_.List()) {
      ToImage(info, response->add_images());
    }
    return absl::OkStatus();
  }
  PINION_ASSIGN_OR_RETURN(const std::string reference, ToReference(wanted));
  if (const auto info = images_.Find(reference)) {
    ToImage(*info, response->add_images());
  }
  return absl::OkStatus();
}

absl::Status ImageRpcs::ImageStatus(const api::ImageStatusRequest& request,
                                    api::ImageStatusResponse* response) {
  PINION_ASSIGN_OR_RETURN(const std::string reference,
                          ToReference(request.image()));
  const auto info = images_.Find(reference);
  if (!info) return absl::OkStatus();
  ToImage(*info, response->mutable_image());
  if (request.verbose()) {
    (*response->mutable_info())["info"] = ImageInfoJson(*info);
  }
  return absl::OkStatus();
}

absl::Status ImageRpcs::PullImage(const api::PullImageRequest& request,
                                  api::PullImageResponse* response) {
  PINION_ASSIGN_OR_RETURN(const std::string reference,
                          ToReference(request.image()));
  PINION_ASSIGN_OR_RETURN(const image::Credentials credentials,
                          ToCredentials(request.auth()));
  PINION_ASSIGN_OR_RETURN(*response->mutable_image_ref(),
                          images_.Pull(reference, credentials));
  return absl::OkStatus();
}

absl::Status ImageRpcs::RemoveImage(const api::RemoveImageRequest& request,
                                    api::RemoveImageResponse*) {
  PINION_ASSIGN_OR_RETURN(const std::string reference,
                          ToReference(request.image()));
  return images_.Remove(reference);
}

absl::Status ImageRpcs::ImageFsInfo(const api::ImageFsInfoRequest&,
                                    api::ImageFsInfoResponse* response) {
  PINION_ASSIGN_OR_RETURN(const image::FsUsage images, images_.Usage());
  PINION_ASSIGN_OR_RETURN(const image::FsUsage writable,
                          runtime_.WritableUsage());
  const int64_t now = clock_.WallNanos();
  ToFilesystemUsage(images, now, response->add_image_filesystems());
  ToFilesystemUsage(writable, now, response->add_container_filesystems());
  return absl::OkStatus();
}

}  // namespace pinion::cri
