// Manifests, indexes and image configurations. The first byte chooses the
// media type that came with the document.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "image/config.h"
#include "image/manifest.h"

using pinion::image::Index;
using pinion::image::kManifestTypes;
using pinion::image::Manifest;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1,
                              size - 1);
  const auto config = pinion::image::ParseConfig(text);
  if (config.ok()) {
    for (const auto& diff_id : config->diff_ids) {
      if (diff_id.hex().size() != 64) abort();
    }
    for (const std::string& value : config->config.env) {
      if (value.find('\0') != value.npos) abort();
    }
  }
  const std::string type = data[0] < 4 ? kManifestTypes[data[0]] : "";
  const auto parsed = pinion::image::ParseManifest(text, type);
  if (!parsed.ok()) return 0;
  if (const auto* manifest = std::get_if<Manifest>(&*parsed)) {
    if (data[0] == 0 || data[0] == 2) abort();
    if (manifest->layers.size() > pinion::image::kMaxLayers) abort();
    for (const auto& layer : manifest->layers) {
      if (layer.digest.hex().size() != 64) abort();
    }
  } else {
    if (data[0] == 1 || data[0] == 3) abort();
    (void)pinion::image::ChoosePlatform(std::get<Index>(*parsed),
                                        {"linux", "arm", "v7"});
  }
  return 0;
}
