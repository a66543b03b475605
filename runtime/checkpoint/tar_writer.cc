#include "runtime/checkpoint/tar_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"

namespace pinion::checkpoint {
namespace {

constexpr size_t kBlock = size_t{256} << 10;

struct FreeEntry {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

std::unique_ptr<archive_entry, FreeEntry> ToArchiveEntry(
    const TarEntry& entry) {
  std::unique_ptr<archive_entry, FreeEntry> result(archive_entry_new());
  archive_entry* const to = result.get();
  archive_entry_copy_stat(to, &entry.st);
  archive_entry_copy_pathname(to, entry.path.c_str());
  // Numbers only: a name would be looked up on the node that reads it.
  archive_entry_set_uname(to, nullptr);
  archive_entry_set_gname(to, nullptr);
  if (!S_ISREG(entry.st.st_mode) || !entry.hardlink.empty()) {
    archive_entry_set_size(to, 0);
  }
  if (!entry.symlink.empty()) {
    archive_entry_copy_symlink(to, entry.symlink.c_str());
  }
  if (!entry.hardlink.empty()) {
    archive_entry_copy_hardlink(to, entry.hardlink.c_str());
  }
  for (const auto& [name, value] : entry.xattrs) {
    archive_entry_xattr_add_entry(to, name.c_str(), value.data(), value.size());
  }
  return result;
}

}  // namespace

void TarWriter::Free::operator()(archive* a) const { archive_write_free(a); }

TarWriter::TarWriter(int fd, TarFormat format, std::string name)
    : name_(std::move(name)), archive_(archive_write_new()) {
  archive* const a = archive_.get();
  // Names are bytes, whatever the locale; GNU's format has no other way.
  const bool set =
      format == TarFormat::kGnu
          ? archive_write_set_format_gnutar(a) == ARCHIVE_OK
          : archive_write_set_format_pax(a) == ARCHIVE_OK &&
                archive_write_set_options(a, "hdrcharset=BINARY") == ARCHIVE_OK;
  open_ = set && archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK &&
          archive_write_open_fd(a, fd) == ARCHIVE_OK;
}

TarWriter::~TarWriter() = default;

absl::Status TarWriter::Error() const {
  const int error = archive_errno(archive_.get());
  const char* const text = archive_error_string(archive_.get());
  return absl::Status(
      error > 0 ? os::ErrnoCode(error) : absl::StatusCode::kInternal,
      absl::StrCat("write ", name_, ": ", text == nullptr ? "?" : text));
}

absl::Status TarWriter::Add(const TarEntry& entry) {
  if (!open_) return Error();
  const auto converted = ToArchiveEntry(entry);
  const int code = archive_write_header(archive_.get(), converted.get());
  return code == ARCHIVE_OK || code == ARCHIVE_WARN ? absl::OkStatus()
                                                    : Error();
}

absl::Status TarWriter::Write(const char* data, size_t size) {
  while (size > 0) {
    const la_ssize_t n = archive_write_data(archive_.get(), data, size);
    if (n <= 0) return Error();
    data += n;
    size -= static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

absl::Status TarWriter::AddText(const std::string& path,
                                std::string_view text) {
  TarEntry entry;
  entry.path = path;
  entry.st.st_mode = S_IFREG | 0600;
  entry.st.st_size = static_cast<off_t>(text.size());
  PINION_RETURN_IF_ERROR(Add(entry));
  return Write(text.data(), text.size());
}

absl::Status TarWriter::AddFile(
    const TarEntry& entry, int content,
    std::chrono::steady_clock::time_point deadline) {
  PINION_RETURN_IF_ERROR(Add(entry));
  std::vector<char> block(kBlock);
  auto left = static_cast<uint64_t>(entry.st.st_size);
  while (left > 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      return absl::DeadlineExceededError("it took too long to write " + name_);
    }
    const size_t want = static_cast<size_t>(std::min<uint64_t>(left, kBlock));
    ssize_t n = read(content, block.data(), want);
    if (n < 0) {
      if (errno == EINTR) continue;
      return os::ErrnoStatus("read " + entry.path);
    }
    if (n == 0) {
      std::fill(block.begin(), block.end(), '\0');
      n = static_cast<ssize_t>(want);
    }
    PINION_RETURN_IF_ERROR(Write(block.data(), static_cast<size_t>(n)));
    left -= static_cast<uint64_t>(n);
  }
  return absl::OkStatus();
}

absl::Status TarWriter::Finish() {
  if (!open_) return Error();
  open_ = false;
  return archive_write_close(archive_.get()) == ARCHIVE_OK ? absl::OkStatus()
                                                           : Error();
}

}  // namespace pinion::checkpoint
