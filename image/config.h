// The image configuration: what an image says about the processes to start
// from it, and the digests of its unpacked layers.
//
// Thread-safe.

#ifndef PINION_IMAGE_CONFIG_H_
#define PINION_IMAGE_CONFIG_H_

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "image/digest.h"
#include "image/image_service.h"

namespace pinion::image {

struct ParsedConfig {
  ImageConfig config;
  std::vector<Digest> diff_ids;  // bottom first
};

// InvalidArgument for what is no image configuration for Linux.
absl::StatusOr<ParsedConfig> ParseConfig(std::string_view text);

}  // namespace pinion::image

#endif  // PINION_IMAGE_CONFIG_H_
