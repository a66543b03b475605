// Images, credentials and file system usage, between the CRI and the domain.
//
// Pure functions.

#ifndef PINION_CRI_TRANSLATE_IMAGE_H_
#define PINION_CRI_TRANSLATE_IMAGE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "cri/api.h"
#include "image/image_service.h"

namespace pinion::cri {

// The reference of a request that must name an image. InvalidArgument if it
// is missing, oversize or holds control characters; its grammar is image/'s.
absl::StatusOr<std::string> ToReference(const api::ImageSpec& spec);

// Secrets: the result is never logged, and a refusal never shows a value.
absl::StatusOr<image::Credentials> ToCredentials(const api::AuthConfig& auth);

// A numeric USER becomes uid, another one username; neither means root. The
// kubelet's check of runAsNonRoot reads them.
void ToImage(const image::ImageInfo& info, api::Image* out);

void ToFilesystemUsage(const image::FsUsage& usage, int64_t timestamp_ns,
                       api::FilesystemUsage* out);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_IMAGE_H_
