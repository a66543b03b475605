#include "image/records.h"

#include "base/status_macros.h"

namespace pinion::image {
namespace {

constexpr const char* kSchema[] = {
    "CREATE TABLE IF NOT EXISTS image_layers ("
    " number INTEGER PRIMARY KEY,"
    " diff_id TEXT NOT NULL,"
    " chain_id TEXT NOT NULL,"
    " bytes INTEGER NOT NULL,"
    " inodes INTEGER NOT NULL,"
    " root_given INTEGER NOT NULL,"
    " root_opaque INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS image_images ("
    " id TEXT PRIMARY KEY,"
    " config BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS image_image_layers ("
    " image TEXT NOT NULL,"
    " position INTEGER NOT NULL,"
    " layer INTEGER NOT NULL,"
    " PRIMARY KEY (image, position)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS image_references ("
    " name TEXT PRIMARY KEY,"
    " image TEXT NOT NULL) STRICT, WITHOUT ROWID",
};

int64_t Number(uint64_t value) { return static_cast<int64_t>(value); }

}  // namespace

absl::StatusOr<std::unique_ptr<Records>> Records::Open(
    const std::string& database) {
  PINION_ASSIGN_OR_RETURN(
      auto db, os::Database::Open(database, os::Database::Sync::kFull));
  for (const char* statement : kSchema) {
    PINION_RETURN_IF_ERROR(db->Execute(statement));
  }
  return std::unique_ptr<Records>(new Records(std::move(db)));
}

absl::StatusOr<AllRecords> Records::Load() {
  AllRecords all;
  PINION_RETURN_IF_ERROR(database_->Query(
      "SELECT number, diff_id, chain_id, bytes, inodes, root_given,"
      " root_opaque FROM image_layers ORDER BY number",
      {}, [&all](const os::SqlRow& row) {
        all.layers.push_back({row.Int(0),
                              row.Text(1),
                              row.Text(2),
                              static_cast<uint64_t>(row.Int(3)),
                              static_cast<uint64_t>(row.Int(4)),
                              row.Int(5) != 0,
                              row.Int(6) != 0,
                              {}});
      }));
  std::map<std::string, std::vector<int64_t>> layers;
  PINION_RETURN_IF_ERROR(database_->Query(
      "SELECT image, layer FROM image_image_layers ORDER BY image, position",
      {}, [&layers](const os::SqlRow& row) {
        layers[row.Text(0)].push_back(row.Int(1));
      }));
  PINION_RETURN_IF_ERROR(database_->Query(
      "SELECT id, config FROM image_images", {},
      [&all, &layers](const os::SqlRow& row) {
        all.images.push_back({row.Text(0), row.Text(1), layers[row.Text(0)]});
      }));
  PINION_RETURN_IF_ERROR(
      database_->Query("SELECT name, image FROM image_references", {},
                       [&all](const os::SqlRow& row) {
                         all.references.emplace(row.Text(0), row.Text(1));
                       }));
  return all;
}

absl::Status Records::AddImage(const ImageRecord& image,
                               const std::vector<LayerRecord>& new_layers,
                               const std::vector<std::string>& references) {
  return database_->InTransaction([&](os::Database::Transaction& tx) {
    for (const LayerRecord& layer : new_layers) {
      PINION_RETURN_IF_ERROR(
          tx.Execute("INSERT INTO image_layers VALUES (?, ?, ?, ?, ?, ?, ?)",
                     {layer.number, layer.diff_id, layer.chain_id,
                      Number(layer.bytes), Number(layer.inodes),
                      int64_t{layer.root_given}, int64_t{layer.root_opaque}}));
    }
    PINION_RETURN_IF_ERROR(
        tx.Execute("INSERT OR REPLACE INTO image_images VALUES (?, ?)",
                   {image.id, os::SqlBlob{image.config}}));
    PINION_RETURN_IF_ERROR(tx.Execute(
        "DELETE FROM image_image_layers WHERE image = ?", {image.id}));
    for (size_t i = 0; i < image.layers.size(); ++i) {
      PINION_RETURN_IF_ERROR(
          tx.Execute("INSERT INTO image_image_layers VALUES (?, ?, ?)",
                     {image.id, static_cast<int64_t>(i), image.layers[i]}));
    }
    for (const std::string& name : references) {
      PINION_RETURN_IF_ERROR(
          tx.Execute("INSERT OR REPLACE INTO image_references VALUES (?, ?)",
                     {name, image.id}));
    }
    return absl::OkStatus();
  });
}

absl::Status Records::DeleteImage(const std::string& id) {
  return database_->InTransaction([&](os::Database::Transaction& tx) {
    PINION_RETURN_IF_ERROR(
        tx.Execute("DELETE FROM image_references WHERE image = ?", {id}));
    PINION_RETURN_IF_ERROR(
        tx.Execute("DELETE FROM image_image_layers WHERE image = ?", {id}));
    return tx.Execute("DELETE FROM image_images WHERE id = ?", {id});
  });
}

absl::Status Records::DeleteLayers(const std::vector<int64_t>& numbers) {
  if (numbers.empty()) return absl::OkStatus();
  return database_->InTransaction([&](os::Database::Transaction& tx) {
    for (const int64_t number : numbers) {
      PINION_RETURN_IF_ERROR(
          tx.Execute("DELETE FROM image_layers WHERE number = ?", {number}));
    }
    return absl::OkStatus();
  });
}

}  // namespace pinion::image
