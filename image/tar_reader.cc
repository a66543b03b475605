#include "image/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::image {

// It keeps the status that libarchive cannot carry.
struct TarReader::Input {
  ByteStream* stream;
  absl::Status status;
  bool ended = false;

  static la_ssize_t Read(archive* a, void* self, const void** buffer) {
    auto* input = static_cast<Input*>(self);
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
};

void TarReader::Free::operator()(archive* a) const { archive_read_free(a); }

TarReader::TarReader(ByteStream* stream)
    : input_(new Input{stream, {}}), archive_(archive_read_new()) {}

TarReader::~TarReader() = default;

absl::Status TarReader::Error(const std::string& what) const {
  if (!input_->status.ok()) return input_->status;
  const char* const text = archive_error_string(archive_.get());
  return absl::InvalidArgumentError(
      absl::StrCat("corrupt tar: ", what, ": ", text == nullptr ? "?" : text));
}

absl::StatusOr<archive_entry*> TarReader::Next() {
  if (!open_) {
    open_ = true;
    archive_read_support_format_tar(archive_.get());
    // Names are bytes, whatever the locale.
    archive_read_set_options(archive_.get(), "tar:hdrcharset=BINARY");
    if (archive_read_open(archive_.get(), input_.get(), nullptr, Input::Read,
                          nullptr) != ARCHIVE_OK) {
      return Error("open");
    }
  }
  archive_entry* entry = nullptr;
  const int code = archive_read_next_header(archive_.get(), &entry);
  if (code == ARCHIVE_EOF) return nullptr;
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return Error("header");
  const int64_t size = archive_entry_size(entry);
  if (size < 0) return Error("negative size");
  size_ = static_cast<uint64_t>(size);
  return entry;
}

absl::StatusOr<std::optional<TarReader::Block>> TarReader::NextBlock() {
  const void* data = nullptr;
  size_t count = 0;
  int64_t offset = 0;
  const int code =
      archive_read_data_block(archive_.get(), &data, &count, &offset);
  if (code == ARCHIVE_EOF) return std::optional<Block>();
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return Error("data");
  // A sparse file's map is foreign data, too.
  const auto at = static_cast<uint64_t>(offset);
  if (offset < 0 || at > size_ || count > size_ - at) {
    return absl::InvalidArgumentError("corrupt tar: data beyond a file's end");
  }
  return std::optional<Block>(
      Block{std::string_view(static_cast<const char*>(data), count), at});
}

}  // namespace pinion::image
