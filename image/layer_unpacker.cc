#include "image/layer_unpacker.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"

namespace pinion::image {
namespace {

struct FreeArchive {
  void operator()(archive* a) const { archive_read_free(a); }
};

// What libarchive reads from; it keeps the status that libarchive cannot
// carry.
struct Input {
  ByteStream* stream;
  absl::Status status;
  bool ended = false;
};

la_ssize_t ReadInput(archive* a, void* data, const void** buffer) {
  auto* input = static_cast<Input*>(data);
  *buffer = nullptr;
  if (input->ended) return 0;
  const auto chunk = input->stream->Next();
  if (!chunk.ok()) {
    input->status = chunk.status();
    input->ended = true;
    archive_set_error(a, EIO, "read");
    return -1;
  }
  input->ended = chunk->empty();
  *buffer = chunk->data();
  return static_cast<la_ssize_t>(chunk->size());
}

class Unpacker {
 public:
  Unpacker(ByteStream& tar, LayerTree& tree, const UnpackLimits& limits)
      : input_{&tar, {}, false},
        tree_(tree),
        limits_(limits),
        archive_(archive_read_new()) {}

  absl::Status Run() {
    archive_read_support_format_tar(archive_.get());
    // Names are bytes, whatever the locale.
    archive_read_set_options(archive_.get(), "tar:hdrcharset=BINARY");
    if (archive_read_open(archive_.get(), &input_, nullptr, ReadInput,
                          nullptr) != ARCHIVE_OK) {
      return Error("open");
    }
    uint64_t entries = 0;
    while (true) {
      archive_entry* entry = nullptr;
      const int code = archive_read_next_header(archive_.get(), &entry);
      if (code == ARCHIVE_EOF) return tree_.Finish();
      if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return Error("header");
      if (++entries > limits_.entries) {
        return absl::InvalidArgumentError(
            absl::StrCat("layer has more than ", limits_.entries, " entries"));
      }
      PINION_RETURN_IF_ERROR(ApplyEntry(entry));
    }
  }

 private:
  absl::Status Error(const std::string& what) {
    if (!input_.status.ok()) return input_.status;
    const char* const text = archive_error_string(archive_.get());
    return absl::InvalidArgumentError(absl::StrCat(
        "corrupt layer: tar ", what, ": ", text == nullptr ? "?" : text));
  }

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
    const int64_t size = archive_entry_size(from);
    if (size < 0 || static_cast<uint64_t>(size) > limits_.bytes - bytes_) {
      return TooLarge();
    }
    bytes_ += static_cast<uint64_t>(size);
    PINION_RETURN_IF_ERROR(CopyContent(file, entry, size));
    return tree_.FinishFile(file, entry, static_cast<uint64_t>(size));
  }

  absl::Status TooLarge() const {
    return absl::InvalidArgumentError(
        absl::StrCat("layer has files of more than ", limits_.bytes, " bytes"));
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
                           int64_t size) {
    int64_t end = 0;
    while (true) {
      const void* data = nullptr;
      size_t count = 0;
      int64_t offset = 0;
      const int code =
          archive_read_data_block(archive_.get(), &data, &count, &offset);
      if (code == ARCHIVE_EOF) break;
      if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return Error("data");
      // A sparse file's map is foreign data, too.
      if (offset < 0 || offset > size ||
          count > static_cast<uint64_t>(size - offset)) {
        return TooLarge();
      }
      PINION_RETURN_IF_ERROR(Write(file, entry, data, count, offset));
      end = offset + static_cast<int64_t>(count);
    }
    if (end < size && ftruncate(file.get(), size) != 0) {
      return os::ErrnoStatus("ftruncate " + entry.path);
    }
    return absl::OkStatus();
  }

  static absl::Status Write(const os::UniqueFd& file, const TreeEntry& entry,
                            const void* data, size_t count, int64_t offset) {
    const char* next = static_cast<const char*>(data);
    while (count > 0) {
      const ssize_t n = pwrite(file.get(), next, count, offset);
      if (n < 0) {
        if (errno == EINTR) continue;
        return os::ErrnoStatus("write " + entry.path);
      }
      next += n;
      offset += n;
      count -= static_cast<size_t>(n);
    }
    return absl::OkStatus();
  }

  Input input_;
  LayerTree& tree_;
  const UnpackLimits limits_;
  const std::unique_ptr<archive, FreeArchive> archive_;
  uint64_t bytes_ = 0;
};

}  // namespace

absl::Status UnpackLayer(ByteStream& tar, LayerTree& tree,
                         const UnpackLimits& limits) {
  return Unpacker(tar, tree, limits).Run();
}

}  // namespace pinion::image
