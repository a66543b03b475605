// Images from archives: OCI image layouts (index.json, blobs/) and what
// `docker save` writes (manifest.json).
//
// Thread-safe.

#ifndef PINION_IMAGE_IMPORT_H_
#define PINION_IMAGE_IMPORT_H_

#include <string>

#include "absl/status/statusor.h"
#include "image/archive_spool.h"
#include "image/image_service.h"
#include "image/installer.h"
#include "image/manifest.h"
#include "image/store.h"

namespace pinion::image {

struct ImportOptions {
  // Empty: as the archive's annotations name its images.
  std::string reference;
  std::string default_registry;
  Platform platform;
  InstallOptions install;
};

// All images of the archive; the id is the last one's. InvalidArgument for
// an archive that is neither, and for one that names nothing if the options
// name nothing either.
absl::StatusOr<ImageService::Imported> ImportArchive(
    const ArchiveSpool& spool, const ImportOptions& options, Store& store);

}  // namespace pinion::image

#endif  // PINION_IMAGE_IMPORT_H_
