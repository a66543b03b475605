#include "image/layer_unpacker.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "image/tar_reader.h"
#include "os/error.h"

namespace pinion::image {
namespace {

class Unpacker {
 public:
  Unpacker(ByteStream& tar, LayerTree& tree, const UnpackLimits& limits)
      : reader_(&tar), tree_(tree), limits_(limits) {}

  absl::Status Run() {
    uint64_t entries = 0;
    while (true) {
      PINION_ASSIGN_OR_RETURN(archive_entry * entry, reader_.Next());
      if (entry == nullptr) return tree_.Finish();
      if (++entries > limits_.entries) {
        return absl::InvalidArgumentError(
            absl::StrCat("layer has more than ", limits_.entries, " entries"));
      }
      PINION_RETURN_IF_ERROR(ApplyEntry(entry));
    }
  }

 private:
  absl::Status ApplyEntry(archive_entry* from) {
    TreeEntry entry;
    const char* const path = archive_entry_pathname(from);
    if (path == nullptr || *path == '\0') {
      return absl::InvalidArgumentError("layer has an entry without a name");
    }
    entry.path = path;
    entry.mode = static_cast<mode_t>(archive_entry_mode(from));
    entry.rdev = archive_entry_rdev(from);
    entry.mtime.tv_sec = archive_entry_mtime(from);
    entry.mtime.tv_nsec = archive_entry_mtime_nsec(from);
    const int64_t uid = archive_entry_uid(from);
    const int64_t gid = archive_entry_gid(from);
    // -1 as an unsigned number would mean "leave as it is" to chown(2).
    constexpr int64_t kMaxId = std::numeric_limits<uint32_t>::max() - 1;
    if (uid < 0 || gid < 0 || uid > kMaxId || gid > kMaxId) {
      return absl::InvalidArgumentError(
          absl::StrCat("layer entry ", entry.path, ": impossible owner"));
    }
    entry.uid = static_cast<uid_t>(uid);
    entry.gid = static_cast<gid_t>(gid);
    if (const char* link = archive_entry_hardlink(from); link != nullptr) {
      entry.hardlink = link;
      if (entry.hardlink.empty()) entry.hardlink = ".";
    }
    if (const char* link = archive_entry_symlink(from); link != nullptr) {
      entry.symlink = link;
    }
    ReadXattrs(from, entry);
    PINION_ASSIGN_OR_RETURN(const os::UniqueFd file, tree_.Apply(entry));
    if (!file.valid()) return absl::OkStatus();
    const auto size = static_cast<uint64_t>(archive_entry_size(from));
    if (size > limits_.bytes - bytes_) {
      return absl::InvalidArgumentError(absl::StrCat(
          "layer has files of more than ", limits_.bytes, " bytes"));
    }
    bytes_ += size;
    PINION_RETURN_IF_ERROR(CopyContent(file, entry, size));
    return tree_.FinishFile(file, entry, size);
  }

  static void ReadXattrs(archive_entry* from, TreeEntry& entry) {
    if (archive_entry_xattr_reset(from) == 0) return;
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
      if (name == nullptr) continue;
      entry.xattrs.emplace_back(
          name, std::string(static_cast<const char*>(value), size));
    }
  }

  absl::Status CopyContent(const os::UniqueFd& file, const TreeEntry& entry,
                           uint64_t size) {
    uint64_t end = 0;
    while (true) {
      PINION_ASSIGN_OR_RETURN(const auto block, reader_.NextBlock());
      if (!block.has_value()) break;
      PINION_RETURN_IF_ERROR(Write(file, entry, block->data, block->offset));
      end = block->offset + block->data.size();
    }
    if (end < size && ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
      return os::ErrnoStatus("ftruncate " + entry.path);
    }
    return absl::OkStatus();
  }

  static absl::Status Write(const os::UniqueFd& file, const TreeEntry& entry,
                            std::string_view data, uint64_t offset) {
    while (!data.empty()) {
      const ssize_t n = pwrite(file.get(), data.data(), data.size(),
                               static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return os::ErrnoStatus("write " + entry.path);
      }
      data.remove_prefix(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return absl::OkStatus();
  }

  TarReader reader_;
  LayerTree& tree_;
  const UnpackLimits limits_;
  uint64_t bytes_ = 0;
};

}  // namespace

absl::Status UnpackLayer(ByteStream& tar, LayerTree& tree,
                         const UnpackLimits& limits) {
  return Unpacker(tar, tree, limits).Run();
}

}  // namespace pinion::image
