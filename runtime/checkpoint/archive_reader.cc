#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "image/byte_stream.h"
#include "image/layer_tree.h"
#include "image/layer_unpacker.h"
#include "image/tar_reader.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/checkpoint/archive.h"

namespace pinion::checkpoint {
namespace {

constexpr size_t kBlock = size_t{1} << 20;
constexpr size_t kMaxDocument = size_t{4} << 20;
constexpr char kImages[] = "checkpoint/";
constexpr char kDescriptors[] = "checkpoint/descriptors.json";
constexpr char kRootDiff[] = "rootfs-diff.tar";

class FileStream final : public image::ByteStream {
 public:
  explicit FileStream(int fd) : fd_(fd), block_(kBlock) {}

  absl::StatusOr<std::string_view> Next() override {
    while (true) {
      const ssize_t n = pread(fd_, block_.data(), block_.size(), offset_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return os::ErrnoStatus("read the checkpoint");
      offset_ += n;
      return std::string_view(block_.data(), static_cast<size_t>(n));
    }
  }

 private:
  const int fd_;
  std::vector<char> block_;
  off_t offset_ = 0;
};

// The content of a reader's current entry, holes as zeros.
class EntryStream final : public image::ByteStream {
 public:
  explicit EntryStream(image::TarReader* reader) : reader_(reader) {}

  absl::StatusOr<std::string_view> Next() override {
    if (!block_.has_value()) {
      PINION_ASSIGN_OR_RETURN(block_, reader_->NextBlock());
      if (!block_.has_value()) return std::string_view();
    }
    if (block_->offset > at_) {
      const uint64_t hole = std::min<uint64_t>(block_->offset - at_, kBlock);
      zeros_.resize(static_cast<size_t>(hole));
      at_ += hole;
      return std::string_view(zeros_.data(), zeros_.size());
    }
    const std::string_view data = block_->data;
    at_ += data.size();
    block_.reset();
    // An empty piece would mean the end.
    return data.empty() ? Next() : absl::StatusOr<std::string_view>(data);
  }

 private:
  image::TarReader* const reader_;
  std::optional<image::TarReader::Block> block_;
  std::vector<char> zeros_;
  uint64_t at_ = 0;
};

std::string NameOf(archive_entry* entry) {
  const char* const path = archive_entry_pathname(entry);
  absl::string_view name = path == nullptr ? "" : path;
  while (absl::ConsumePrefix(&name, "./")) {
  }
  return std::string(name);
}

bool IsRegular(archive_entry* entry) {
  return archive_entry_filetype(entry) == AE_IFREG &&
         archive_entry_hardlink(entry) == nullptr;
}

// One component, and nothing that a program would take for more.
bool IsImageName(absl::string_view name) {
  if (name.empty() || name.size() > 128 || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

class Unpacker {
 public:
  Unpacker(int archive, int images_dir, os::UniqueFd root,
           const UnpackLimits& limits)
      : stream_(archive),
        reader_(&stream_),
        images_dir_(images_dir),
        root_(std::move(root)),
        limits_(limits) {}

  absl::Status Run() {
    uint64_t entries = 0;
    while (true) {
      PINION_ASSIGN_OR_RETURN(archive_entry * entry, reader_.Next());
      if (entry == nullptr) return absl::OkStatus();
      if (++entries > limits_.entries) {
        return absl::InvalidArgumentError(
            "the checkpoint has too many entries");
      }
      const std::string name = NameOf(entry);
      if (name == kRootDiff) {
        PINION_RETURN_IF_ERROR(ApplyRootDiff(entry));
      } else if (absl::StartsWith(name, kImages) && name != kImages) {
        PINION_RETURN_IF_ERROR(ExtractImage(entry, name));
      }
    }
  }

 private:
  absl::Status Take(archive_entry* entry) {
    const auto size = static_cast<uint64_t>(archive_entry_size(entry));
    if (size > limits_.bytes - bytes_) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the checkpoint needs more than ", limits_.bytes,
                       " bytes, half of what is free on pinion's file system"));
    }
    bytes_ += size;
    return absl::OkStatus();
  }

  absl::Status ApplyRootDiff(archive_entry* entry) {
    if (!IsRegular(entry) || !root_.valid()) {
      return absl::InvalidArgumentError(
          "rootfs-diff.tar is no regular file, or is there twice");
    }
    PINION_RETURN_IF_ERROR(Take(entry));
    image::LayerTree tree(std::move(root_));
    EntryStream content(&reader_);
    image::UnpackLimits limits;
    limits.bytes = limits_.bytes;
    return Annotate(image::UnpackLayer(content, tree, limits),
                    "rootfs-diff.tar");
  }

  absl::Status ExtractImage(archive_entry* entry, const std::string& path) {
    const std::string name = path.substr(sizeof(kImages) - 1);
    if (!IsRegular(entry) || !IsImageName(name)) {
      return absl::InvalidArgumentError(
          "the checkpoint has an image with an impossible name or type");
    }
    PINION_RETURN_IF_ERROR(Take(entry));
    const os::UniqueFd file(
        openat(images_dir_, name.c_str(),
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.valid() && errno == EEXIST) {
      return absl::InvalidArgumentError(
          absl::StrCat("the checkpoint has ", path, " twice"));
    }
    if (!file.valid()) return os::ErrnoStatus("create " + path);
    EntryStream content(&reader_);
    while (true) {
      PINION_ASSIGN_OR_RETURN(const std::string_view data, content.Next());
      if (data.empty()) return absl::OkStatus();
      PINION_RETURN_IF_ERROR(os::WriteAll(file.get(), data, path));
    }
  }

  FileStream stream_;
  image::TarReader reader_;
  const int images_dir_;
  os::UniqueFd root_;
  const UnpackLimits limits_;
  uint64_t bytes_ = 0;
};

}  // namespace

absl::StatusOr<os::UniqueFd> OpenArchive(const std::string& path) {
  PINION_ASSIGN_OR_RETURN(
      os::UniqueFd fd,
      os::OpenAt(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat st = {};
  if (fstat(fd.get(), &st) != 0) return os::ErrnoStatus("stat " + path);
  if (!S_ISREG(st.st_mode)) {
    return absl::InvalidArgumentError(path + " is no regular file");
  }
  if (st.st_uid != 0 || (st.st_mode & 022) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        path,
        ": what is restored from a checkpoint has the powers that the "
        "checkpoint says, so it must be root's and writable by nobody else"));
  }
  return fd;
}

absl::StatusOr<Documents> ReadDocuments(int archive) {
  FileStream stream(archive);
  image::TarReader reader(&stream);
  Documents documents;
  const std::pair<const char*, std::string*> wanted[] = {
      {"config.dump", &documents.config},
      {"spec.dump", &documents.spec},
      {kDescriptors, &documents.descriptors}};
  for (size_t found = 0; found < std::size(wanted);) {
    PINION_ASSIGN_OR_RETURN(archive_entry * entry, reader.Next());
    if (entry == nullptr) {
      return absl::InvalidArgumentError(
          "no checkpoint: config.dump, spec.dump or "
          "checkpoint/descriptors.json is missing");
    }
    const std::string name = NameOf(entry);
    for (const auto& [path, text] : wanted) {
      if (name != path || !text->empty() || !IsRegular(entry)) continue;
      EntryStream content(&reader);
      PINION_ASSIGN_OR_RETURN(*text, image::ReadStream(content, kMaxDocument));
      if (!text->empty()) ++found;
    }
  }
  return documents;
}

absl::Status UnpackArchive(int archive, int images_dir, os::UniqueFd root,
                           const UnpackLimits& limits) {
  return Unpacker(archive, images_dir, std::move(root), limits).Run();
}

}  // namespace pinion::checkpoint
