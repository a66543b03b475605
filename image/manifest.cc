#include "image/manifest.h"

#include <sys/utsname.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/json.h"
#include "base/status_macros.h"

namespace pinion::image {

const char* const kManifestTypes[4] = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
};

namespace {

constexpr size_t kMaxEntries = 1024;

enum class Kind { kUnknown, kManifest, kIndex };

bool HasPrefix(const std::string& text, std::string_view prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

bool HasSuffix(const std::string& text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// Types outside the four say nothing: registries answer application/json or
// text/plain at times.
absl::StatusOr<Kind> KindOfType(const std::string& type) {
  const std::string bare = type.substr(0, type.find(';'));
  if (bare == kManifestTypes[0] || bare == kManifestTypes[2]) {
    return Kind::kIndex;
  }
  if (bare == kManifestTypes[1] || bare == kManifestTypes[3]) {
    return Kind::kManifest;
  }
  if (HasPrefix(bare, "application/vnd.docker.distribution.manifest.v1")) {
    return absl::InvalidArgumentError(
        "manifest is of the withdrawn schema 1: push the image again");
  }
  return Kind::kUnknown;
}

absl::StatusOr<Kind> KindOf(const Json& document,
                            const std::string& content_type) {
  PINION_ASSIGN_OR_RETURN(const Kind by_header, KindOfType(content_type));
  PINION_ASSIGN_OR_RETURN(const std::string type,
                          JsonString(document, "mediaType"));
  PINION_ASSIGN_OR_RETURN(const Kind by_type, KindOfType(type));
  if (!type.empty() && by_type == Kind::kUnknown) {
    return absl::InvalidArgumentError(
        absl::StrCat("manifest of the foreign type ", type.substr(0, 100)));
  }
  if (document.contains("fsLayers") || document.contains("history")) {
    return absl::InvalidArgumentError(
        "manifest is of the withdrawn schema 1: push the image again");
  }
  const bool index = document.contains("manifests");
  const bool manifest =
      document.contains("config") || document.contains("layers");
  const Kind by_members = index ? Kind::kIndex : Kind::kManifest;
  if (index == manifest ||
      (by_type != Kind::kUnknown && by_type != by_members) ||
      (by_header != Kind::kUnknown && by_header != by_members)) {
    return absl::InvalidArgumentError(
        "manifest is ambiguous: its type and its members disagree");
  }
  return by_members;
}

absl::StatusOr<Descriptor> ParseDescriptor(const Json& json) {
  if (!json.is_object()) {
    return absl::InvalidArgumentError("a descriptor is not an object");
  }
  Descriptor result;
  PINION_ASSIGN_OR_RETURN(result.media_type, JsonString(json, "mediaType"));
  PINION_ASSIGN_OR_RETURN(const std::string digest, JsonString(json, "digest"));
  PINION_ASSIGN_OR_RETURN(result.digest, Digest::Parse(digest));
  PINION_ASSIGN_OR_RETURN(result.size, JsonSize(json, "size"));
  PINION_ASSIGN_OR_RETURN(result.annotations,
                          JsonStringMap(json, "annotations"));
  return result;
}

bool IsConfigType(const std::string& type) {
  return type == "application/vnd.oci.image.config.v1+json" ||
         type == "application/vnd.docker.container.image.v1+json";
}

bool IsLayerType(const std::string& type) {
  if (HasPrefix(type, "application/vnd.oci.image.layer.")) {
    return !HasSuffix(type, "+encrypted");
  }
  return HasPrefix(type, "application/vnd.docker.image.rootfs.");
}

absl::StatusOr<Manifest> ParseImageManifest(const Json& document) {
  Manifest result;
  PINION_ASSIGN_OR_RETURN(const Json* config, JsonObject(document, "config"));
  PINION_ASSIGN_OR_RETURN(const Json* layers, JsonArray(document, "layers"));
  if (config == nullptr || layers == nullptr) {
    return absl::InvalidArgumentError("manifest lacks config or layers");
  }
  PINION_ASSIGN_OR_RETURN_AS(result.config, ParseDescriptor(*config),
                             "manifest's config");
  if (!IsConfigType(result.config.media_type)) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a container image: its configuration is of type \"",
                     result.config.media_type.substr(0, 100), "\""));
  }
  if (layers->size() > kMaxLayers) {
    return absl::InvalidArgumentError(
        absl::StrCat("manifest has more than ", kMaxLayers, " layers"));
  }
  for (const Json& layer : *layers) {
    PINION_ASSIGN_OR_RETURN_AS(Descriptor descriptor, ParseDescriptor(layer),
                               "manifest's layer");
    if (!IsLayerType(descriptor.media_type)) {
      return absl::InvalidArgumentError(
          absl::StrCat("layer of the foreign type \"",
                       descriptor.media_type.substr(0, 100), "\""));
    }
    result.layers.push_back(std::move(descriptor));
  }
  return result;
}

absl::StatusOr<Index> ParseIndex(const Json& document) {
  Index result;
  PINION_ASSIGN_OR_RETURN(const Json* manifests,
                          JsonArray(document, "manifests"));
  if (manifests == nullptr || manifests->size() > kMaxEntries) {
    return absl::InvalidArgumentError(
        absl::StrCat("index has no or more than ", kMaxEntries, " manifests"));
  }
  for (const Json& entry : *manifests) {
    IndexEntry parsed;
    PINION_ASSIGN_OR_RETURN_AS(parsed.descriptor, ParseDescriptor(entry),
                               "index");
    PINION_ASSIGN_OR_RETURN(const Json* platform,
                            JsonObject(entry, "platform"));
    if (platform != nullptr) {
      PINION_ASSIGN_OR_RETURN(parsed.platform.os, JsonString(*platform, "os"));
      PINION_ASSIGN_OR_RETURN(parsed.platform.architecture,
                              JsonString(*platform, "architecture"));
      PINION_ASSIGN_OR_RETURN(parsed.platform.variant,
                              JsonString(*platform, "variant"));
    }
    result.entries.push_back(std::move(parsed));
  }
  return result;
}

// What a missing variant means.
std::string VariantOf(const Platform& platform) {
  if (!platform.variant.empty()) return platform.variant;
  if (platform.architecture == "arm64") return "v8";
  if (platform.architecture == "arm") return "v7";
  if (platform.architecture == "amd64") return "v1";
  return "";
}

// 0 is a perfect fit, larger is worse; nullopt: cannot run here.
std::optional<int> Misfit(const Platform& offered, const Platform& here) {
  constexpr int kUnnamed = 100;
  if (offered.os.empty() && offered.architecture.empty()) return kUnnamed;
  if (offered.os != here.os || offered.architecture != here.architecture) {
    return std::nullopt;
  }
  const std::string have = VariantOf(offered);
  const std::string want = VariantOf(here);
  if (have == want) return 0;
  // "v5" … "v8": code for an older one runs on a newer one.
  const bool numbered =
      have.size() == 2 && want.size() == 2 && have[0] == 'v' && want[0] == 'v';
  if (numbered && have[1] < want[1]) return want[1] - have[1];
  return std::nullopt;
}

}  // namespace

absl::StatusOr<Platform> Platform::Parse(const std::string& text) {
  if (text.empty()) {
    utsname name = {};
    uname(&name);
    const std::string machine = name.machine;
    if (machine == "x86_64") return Platform{"linux", "amd64", ""};
    if (machine == "aarch64") return Platform{"linux", "arm64", ""};
    if (HasPrefix(machine, "armv7")) return Platform{"linux", "arm", "v7"};
    if (HasPrefix(machine, "armv6")) return Platform{"linux", "arm", "v6"};
    return Platform{"linux", machine, ""};
  }
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() ||
      parts[1].empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "malformed platform \"", text, "\": want os/architecture[/variant]"));
  }
  return Platform{parts[0], parts[1], parts.size() == 3 ? parts[2] : ""};
}

std::string Platform::ToString() const {
  return absl::StrCat(os, "/", architecture, variant.empty() ? "" : "/",
                      variant);
}

absl::StatusOr<ManifestOrIndex> ParseManifest(std::string_view text,
                                              const std::string& content_type) {
  PINION_ASSIGN_OR_RETURN(const Json document,
                          ParseJsonObject(text, "manifest"));
  PINION_ASSIGN_OR_RETURN(const Kind kind, KindOf(document, content_type));
  if (kind == Kind::kIndex) {
    PINION_ASSIGN_OR_RETURN(Index index, ParseIndex(document));
    return index;
  }
  PINION_ASSIGN_OR_RETURN(Manifest manifest, ParseImageManifest(document));
  return manifest;
}

absl::StatusOr<Descriptor> ChoosePlatform(const Index& index,
                                          const Platform& platform) {
  const IndexEntry* best = nullptr;
  int best_misfit = 0;
  std::vector<std::string> offered;
  for (const IndexEntry& entry : index.entries) {
    const std::optional<int> misfit = Misfit(entry.platform, platform);
    if (offered.size() < 20) offered.push_back(entry.platform.ToString());
    if (!misfit.has_value()) continue;
    if (best == nullptr || *misfit < best_misfit) {
      best = &entry;
      best_misfit = *misfit;
    }
  }
  if (offered.empty()) {
    return absl::NotFoundError("the image's index lists no manifest at all");
  }
  if (best == nullptr) {
    return absl::NotFoundError(absl::StrCat("no manifest for ",
                                            platform.ToString(), ", only for ",
                                            absl::StrJoin(offered, ", ")));
  }
  return best->descriptor;
}

}  // namespace pinion::image
