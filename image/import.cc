#include "image/import.h"

#include <map>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "image/reference.h"

namespace pinion::image {
namespace {

constexpr int kMaxIndexes = 3;
constexpr char kContainerdName[] = "io.containerd.image.name";
constexpr char kRefName[] = "org.opencontainers.image.ref.name";

// An image to install, and what it is to be called.
struct Found {
  Manifest manifest;
  Digest digest;  // of its manifest or index; empty for docker's archives
  std::vector<Reference> names;
};

class SpoolSource : public BlobSource {
 public:
  explicit SpoolSource(const ArchiveSpool* spool) : spool_(spool) {}

  absl::StatusOr<std::unique_ptr<ByteStream>> OpenBlob(
      const Descriptor& descriptor) override {
    const ArchiveSpool::Member* member =
        spool_->Find(absl::StrCat("blobs/sha256/", descriptor.digest.hex()));
    if (member == nullptr) member = spool_->FindContent(descriptor.digest);
    if (member == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("archive lacks blob ", descriptor.digest.text()));
    }
    return spool_->Open(*member);
  }

 private:
  const ArchiveSpool* const spool_;
};

absl::StatusOr<Manifest> ResolveManifest(BlobSource& source,
                                         Descriptor descriptor,
                                         const Platform& platform) {
  for (int i = 0; i <= kMaxIndexes; ++i) {
    PINION_ASSIGN_OR_RETURN(const std::string text,
                            ReadBlob(source, descriptor));
    PINION_ASSIGN_OR_RETURN(ManifestOrIndex parsed,
                            ParseManifest(text, descriptor.media_type));
    if (auto* manifest = std::get_if<Manifest>(&parsed)) {
      return std::move(*manifest);
    }
    PINION_ASSIGN_OR_RETURN(descriptor,
                            ChoosePlatform(std::get<Index>(parsed), platform));
  }
  return absl::InvalidArgumentError("indexes that lead to indexes");
}

// The name that an entry of index.json gives its image; empty if none. A
// ref.name may be a tag alone, which names no image.
std::string NameOf(const Descriptor& descriptor) {
  const auto& annotations = descriptor.annotations;
  if (const auto it = annotations.find(kContainerdName);
      it != annotations.end()) {
    return it->second;
  }
  const auto it = annotations.find(kRefName);
  if (it == annotations.end() ||
      it->second.find_first_of(":/") == std::string::npos) {
    return "";
  }
  return it->second;
}

absl::StatusOr<std::vector<Found>> FindOci(const ArchiveSpool& spool,
                                           BlobSource& source,
                                           const ImportOptions& options) {
  PINION_ASSIGN_OR_RETURN(const std::string text, spool.Read("index.json"));
  PINION_ASSIGN_OR_RETURN_AS(ManifestOrIndex parsed,
                             ParseManifest(text, kManifestTypes[0]),
                             "index.json");
  // Entries of one name are one image for several platforms.
  std::map<std::string, Index> images;
  for (IndexEntry& entry : std::get<Index>(parsed).entries) {
    const std::string name = options.reference.empty()
                                 ? NameOf(entry.descriptor)
                                 : options.reference;
    if (!name.empty()) images[name].entries.push_back(std::move(entry));
  }
  std::vector<Found> result;
  for (const auto& [name, index] : images) {
    Found found;
    PINION_ASSIGN_OR_RETURN(Reference reference,
                            ParseReference(name, options.default_registry));
    found.names.push_back(std::move(reference));
    PINION_ASSIGN_OR_RETURN(const Descriptor chosen,
                            ChoosePlatform(index, options.platform));
    found.digest = chosen.digest;
    PINION_ASSIGN_OR_RETURN_AS(
        found.manifest, ResolveManifest(source, chosen, options.platform),
        name);
    result.push_back(std::move(found));
  }
  return result;
}

absl::StatusOr<Descriptor> DockerBlob(const ArchiveSpool& spool,
                                      const std::string& name) {
  const ArchiveSpool::Member* const member = spool.Find(name);
  if (member == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("archive lacks ", name));
  }
  Descriptor descriptor;
  descriptor.digest = member->digest;
  descriptor.size = member->size;
  return descriptor;
}

absl::StatusOr<std::vector<Found>> FindDocker(const ArchiveSpool& spool,
                                              const ImportOptions& options) {
  PINION_ASSIGN_OR_RETURN(const std::string text, spool.Read("manifest.json"));
  PINION_ASSIGN_OR_RETURN(const Json json,
                          ParseJsonArray(text, "manifest.json"));
  std::vector<Found> result;
  for (const Json& entry : json) {
    if (!entry.is_object()) {
      return absl::InvalidArgumentError("manifest.json: not of objects");
    }
    PINION_ASSIGN_OR_RETURN(const std::string config,
                            JsonString(entry, "Config"));
    PINION_ASSIGN_OR_RETURN(const std::vector<std::string> layers,
                            JsonStrings(entry, "Layers"));
    PINION_ASSIGN_OR_RETURN(std::vector<std::string> tags,
                            JsonStrings(entry, "RepoTags"));
    if (!options.reference.empty()) tags = {options.reference};
    Found found;
    PINION_ASSIGN_OR_RETURN(found.manifest.config, DockerBlob(spool, config));
    if (layers.size() > kMaxLayers) {
      return absl::InvalidArgumentError("manifest.json: too many layers");
    }
    for (const std::string& layer : layers) {
      PINION_ASSIGN_OR_RETURN(Descriptor blob, DockerBlob(spool, layer));
      found.manifest.layers.push_back(std::move(blob));
    }
    for (const std::string& tag : tags) {
      PINION_ASSIGN_OR_RETURN(Reference reference,
                              ParseReference(tag, options.default_registry));
      found.names.push_back(std::move(reference));
    }
    if (!found.names.empty()) result.push_back(std::move(found));
  }
  return result;
}

}  // namespace

absl::StatusOr<ImageService::Imported> ImportArchive(
    const ArchiveSpool& spool, const ImportOptions& options, Store& store) {
  SpoolSource source(&spool);
  std::vector<Found> images;
  if (spool.Has("index.json")) {
    PINION_ASSIGN_OR_RETURN(images, FindOci(spool, source, options));
  } else if (spool.Has("manifest.json")) {
    PINION_ASSIGN_OR_RETURN(images, FindDocker(spool, options));
  } else {
    return absl::InvalidArgumentError(
        "neither an OCI image layout nor an archive of docker save");
  }
  if (images.empty()) {
    return absl::InvalidArgumentError(
        "the archive names no image: a reference is needed");
  }
  if (!options.reference.empty() && images.size() > 1) {
    return absl::InvalidArgumentError(
        "the archive has several images, and there is one reference");
  }
  ImageService::Imported result;
  for (const Found& image : images) {
    std::vector<std::string> keys;
    for (const Reference& name : image.names) {
      if (!image.digest.empty()) {
        keys.push_back(absl::StrCat(name.Name(), "@", image.digest.text()));
      }
      // A name by digest must not claim another manifest than that one.
      if (name.digest.empty()) {
        keys.push_back(name.Key());
      } else if (name.digest != image.digest) {
        return absl::InvalidArgumentError(
            absl::StrCat("the archive's image is not ", name.Key()));
      }
      result.references.push_back(name.Key());
    }
    PINION_ASSIGN_OR_RETURN(
        result.id,
        InstallImage(source, image.manifest, keys, store, options.install));
  }
  return result;
}

}  // namespace pinion::image
