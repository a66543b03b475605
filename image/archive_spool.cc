#include "image/archive_spool.h"

#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "image/inflate.h"
#include "image/tar_reader.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::image {
namespace {

constexpr size_t kChunk = size_t{256} << 10;
constexpr int kMaxMembers = 100'000;
constexpr uint64_t kMaxBytes = uint64_t{256} << 30;
constexpr int kMaxLinks = 8;

class FileStream : public ByteStream {
 public:
  FileStream(os::UniqueFd file, std::string name, const CancelToken* cancel)
      : file_(std::move(file)),
        name_(std::move(name)),
        cancel_(cancel),
        buffer_(kChunk) {}

  absl::StatusOr<std::string_view> Next() override {
    if (cancel_ != nullptr) PINION_RETURN_IF_ERROR(cancel_->Check());
    while (true) {
      const ssize_t n = read(file_.get(), buffer_.data(), buffer_.size());
      if (n >= 0) {
        return std::string_view(buffer_.data(), static_cast<size_t>(n));
      }
      if (errno != EINTR) return os::ErrnoStatus("read " + name_);
    }
  }

 private:
  const os::UniqueFd file_;
  const std::string name_;
  const CancelToken* const cancel_;
  std::vector<char> buffer_;
};

// "./a//b" and "/a/b" are "a/b"; ".." takes a part away, as in the links of
// docker's archives ("../<id>/layer.tar").
std::string Normal(const std::string& name) {
  std::vector<std::string> parts;
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
      continue;
    }
    parts.emplace_back(part);
  }
  return absl::StrJoin(parts, "/");
}

std::string Sibling(const std::string& name, const std::string& target) {
  const size_t slash = name.rfind('/');
  return Normal(slash == std::string::npos
                    ? target
                    : absl::StrCat(name.substr(0, slash + 1), target));
}

absl::Status CopyMember(TarReader& reader, int file, const std::string& name,
                        ArchiveSpool::Member& member) {
  Sha256 hasher;
  while (true) {
    PINION_ASSIGN_OR_RETURN(const auto block, reader.NextBlock());
    if (!block.has_value()) break;
    if (block->offset != member.size) {
      return absl::InvalidArgumentError(
          absl::StrCat("archive member ", name, " has holes"));
    }
    hasher.Update(block->data);
    PINION_RETURN_IF_ERROR(os::WriteAll(file, block->data, name));
    member.size += block->data.size();
  }
  member.digest = hasher.Finish();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArchiveSpool>> ArchiveSpool::Create(
    const std::string& archive_path, const std::string& directory,
    const CancelToken* cancel) {
  PINION_ASSIGN_OR_RETURN(
      os::UniqueFd archive,
      os::OpenAt(AT_FDCWD, archive_path, O_RDONLY | O_NONBLOCK));
  struct stat st = {};
  if (fstat(archive.get(), &st) != 0) {
    return os::ErrnoStatus(absl::StrCat("fstat ", archive_path));
  }
  // A FIFO would hold the call until somebody writes.
  if (!S_ISREG(st.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(archive_path, " is no regular file"));
  }
  PINION_RETURN_IF_ERROR(os::MakeDirAt(AT_FDCWD, directory, 0700));
  auto spool = std::unique_ptr<ArchiveSpool>(new ArchiveSpool(directory));
  PINION_ASSIGN_OR_RETURN(
      spool->directory_fd_,
      os::OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  FileStream raw(std::move(archive), archive_path, cancel);
  PINION_ASSIGN_OR_RETURN(const auto tar, MakeInflateStream(&raw));
  PINION_RETURN_IF_ERROR(spool->Fill(*tar));
  return spool;
}

ArchiveSpool::~ArchiveSpool() {
  const absl::Status status = os::RemoveTreeAt(AT_FDCWD, directory_);
  if (!status.ok()) {
    Log(LogLevel::kWarning, "scratch files of an import not removed",
        {{"error", std::string(status.message())}});
  }
}

absl::Status ArchiveSpool::Fill(ByteStream& tar) {
  TarReader reader(&tar);
  uint64_t bytes = 0;
  for (int serial = 0;; ++serial) {
    PINION_ASSIGN_OR_RETURN(archive_entry * entry, reader.Next());
    if (entry == nullptr) return absl::OkStatus();
    if (serial >= kMaxMembers) {
      return absl::InvalidArgumentError("archive has too many members");
    }
    const char* const path = archive_entry_pathname(entry);
    if (path == nullptr) continue;
    const std::string name = Normal(path);
    if (const char* link = archive_entry_hardlink(entry); link != nullptr) {
      links_[name] = Normal(link);
    } else if (archive_entry_filetype(entry) == AE_IFLNK) {
      const char* const target = archive_entry_symlink(entry);
      if (target != nullptr) links_[name] = Sibling(name, target);
    } else if (archive_entry_filetype(entry) == AE_IFREG) {
      bytes += static_cast<uint64_t>(archive_entry_size(entry));
      if (bytes > kMaxBytes) {
        return absl::InvalidArgumentError("archive is too large");
      }
      Member member;
      member.serial = serial;
      PINION_ASSIGN_OR_RETURN(
          const os::UniqueFd file,
          os::OpenAt(directory_fd_.get(), absl::StrCat(serial),
                     O_WRONLY | O_CREAT | O_EXCL, 0600));
      PINION_RETURN_IF_ERROR(CopyMember(reader, file.get(), name, member));
      by_digest_[member.digest] = name;
      members_[name] = std::move(member);
    }
  }
}

const ArchiveSpool::Member* ArchiveSpool::Find(const std::string& name) const {
  std::string at = Normal(name);
  for (int links = 0; links <= kMaxLinks; ++links) {
    const auto member = members_.find(at);
    if (member != members_.end()) return &member->second;
    const auto link = links_.find(at);
    if (link == links_.end()) return nullptr;
    at = link->second;
  }
  return nullptr;
}

const ArchiveSpool::Member* ArchiveSpool::FindContent(
    const Digest& digest) const {
  const auto found = by_digest_.find(digest);
  return found == by_digest_.end() ? nullptr : &members_.at(found->second);
}

absl::StatusOr<std::unique_ptr<ByteStream>> ArchiveSpool::Open(
    const Member& member) const {
  const std::string name = absl::StrCat(member.serial);
  PINION_ASSIGN_OR_RETURN(os::UniqueFd file,
                          os::OpenAt(directory_fd_.get(), name, O_RDONLY));
  return std::unique_ptr<ByteStream>(
      std::make_unique<FileStream>(std::move(file), name, nullptr));
}

absl::StatusOr<std::string> ArchiveSpool::Read(const std::string& name) const {
  const Member* const member = Find(name);
  if (member == nullptr) {
    return absl::NotFoundError(absl::StrCat("archive has no ", name));
  }
  PINION_ASSIGN_OR_RETURN(const auto stream, Open(*member));
  return ReadStream(*stream, kMaxJsonBytes);
}

}  // namespace pinion::image
