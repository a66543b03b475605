// Manifests and indexes (manifest lists) of Docker schema 2 and OCI, and the
// choice of one manifest by platform.
//
// A document says what it is three times: in the Content-Type, in its own
// mediaType, and by its members. All that are there must agree, and a
// document with the members of both kinds is refused: two readers must never
// see two different images under one digest (CVE-2021-41190).
//
// Thread-safe.

#ifndef PINION_IMAGE_MANIFEST_H_
#define PINION_IMAGE_MANIFEST_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "image/digest.h"

namespace pinion::image {

// What is asked for in Accept.
extern const char* const kManifestTypes[4];

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;

  // "os/architecture[/variant]"; empty: this machine's.
  static absl::StatusOr<Platform> Parse(const std::string& text);
  std::string ToString() const;
};

struct Descriptor {
  std::string media_type;
  Digest digest;
  uint64_t size = 0;
  std::map<std::string, std::string> annotations;
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // bottom first
};

struct IndexEntry {
  Descriptor descriptor;
  Platform platform;  // empty members: not said
};

struct Index {
  std::vector<IndexEntry> entries;
};

// overlayfs takes at most 500 lower directories (OVL_MAX_STACK).
inline constexpr size_t kMaxLayers = 500;

using ManifestOrIndex = std::variant<Manifest, Index>;

// `content_type`: of the response or of the descriptor that led here; empty
// if unknown.
absl::StatusOr<ManifestOrIndex> ParseManifest(std::string_view text,
                                              const std::string& content_type);

// The best entry for `platform`: its own variant, then older ones that it
// runs, then an entry that names no platform. NotFound lists what there is.
absl::StatusOr<Descriptor> ChoosePlatform(const Index& index,
                                          const Platform& platform);

}  // namespace pinion::image

#endif  // PINION_IMAGE_MANIFEST_H_
