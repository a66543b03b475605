// The image tables of state.db: layers, images, references. SQL and nothing
// else.
//
// Thread-safe (each call is one transaction, synced when it returns). The
// caller syncs a layer's content before it records the layer.

#ifndef PINION_IMAGE_RECORDS_H_
#define PINION_IMAGE_RECORDS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/sqlite.h"

namespace pinion::image {

struct LayerRecord {
  int64_t number = 0;   // its directory: layers/<number>
  std::string diff_id;  // "sha256:…" of the unpacked tar
  // Not empty: the layer takes attributes of directories from the layers
  // below it, so only images with the same chain of layers may share it.
  std::string chain_id;
  uint64_t bytes = 0;
  uint64_t inodes = 0;
  bool root_given = false;   // the archive had an entry for "./"
  bool root_opaque = false;  // hides all layers below
  // Directories that take their attributes from the layers below; known from
  // unpacking to publishing, not stored.
  std::vector<std::string> implicit;
};

struct ImageRecord {
  std::string id;               // "sha256:…" of the configuration
  std::string config;           // its JSON
  std::vector<int64_t> layers;  // bottom first
};

struct AllRecords {
  std::vector<LayerRecord> layers;
  std::vector<ImageRecord> images;
  std::map<std::string, std::string> references;  // key → image id
};

class Records {
 public:
  static absl::StatusOr<std::unique_ptr<Records>> Open(
      const std::string& database);

  absl::StatusOr<AllRecords> Load();

  // Adds the image (or finds it there), its new layers, and points the
  // references at it, wherever they pointed before.
  absl::Status AddImage(const ImageRecord& image,
                        const std::vector<LayerRecord>& new_layers,
                        const std::vector<std::string>& references);
  // With its references; its layers stay.
  absl::Status DeleteImage(const std::string& id);
  absl::Status DeleteLayers(const std::vector<int64_t>& numbers);

 private:
  explicit Records(std::unique_ptr<os::Database> database)
      : database_(std::move(database)) {}

  const std::unique_ptr<os::Database> database_;
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_RECORDS_H_
