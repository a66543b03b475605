#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/checkpoint/archive.h"
#include "runtime/checkpoint/criu.h"
#include "runtime/checkpoint/tar_writer.h"

namespace pinion::checkpoint {
namespace {

// A file of `directory` that has no name until it is complete.
class UnnamedFile {
 public:
  static absl::StatusOr<UnnamedFile> Create(int directory,
                                            const std::string& name) {
    UnnamedFile file(directory, absl::StrCat(".", name, ".partial"));
    file.fd_.Reset(
        openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (file.fd_.valid()) return file;
    if (errno != EOPNOTSUPP && errno != EISDIR) {
      return os::ErrnoStatus("create a file beside " + name);
    }
    // NFS and the like: a name that the next checkpoint to this place reuses;
    // never a file that somebody else has put there.
    unlinkat(directory, file.temporary_.c_str(), 0);
    PINION_ASSIGN_OR_RETURN(
        file.fd_, os::OpenAt(directory, file.temporary_,
                             O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0600));
    file.named_ = true;
    return file;
  }
  UnnamedFile(UnnamedFile&& other) noexcept
      : directory_(other.directory_),
        temporary_(std::move(other.temporary_)),
        fd_(std::move(other.fd_)),
        named_(std::exchange(other.named_, false)) {}
  UnnamedFile& operator=(UnnamedFile&&) = delete;
  ~UnnamedFile() {
    if (named_) unlinkat(directory_, temporary_.c_str(), 0);
  }

  int fd() const { return fd_.get(); }

  // On the disk before it has the name.
  absl::Status Name(const std::string& name) {
    if (fsync(fd_.get()) != 0) return os::ErrnoStatus("fsync " + name);
    if (!named_) {
      // linkat(2) replaces nothing; rename(2) does.
      unlinkat(directory_, temporary_.c_str(), 0);
      if (linkat(AT_FDCWD, os::FdPath(fd_.get()).c_str(), directory_,
                 temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
        return os::ErrnoStatus("link " + name);
      }
      named_ = true;
    }
    if (renameat(directory_, temporary_.c_str(), directory_, name.c_str()) !=
        0) {
      return os::ErrnoStatus("rename to " + name);
    }
    named_ = false;
    if (fsync(directory_) != 0) {
      return os::ErrnoStatus("fsync the directory of " + name);
    }
    return absl::OkStatus();
  }

 private:
  UnnamedFile(int directory, std::string temporary)
      : directory_(directory), temporary_(std::move(temporary)) {}

  int directory_;
  std::string temporary_;
  os::UniqueFd fd_;
  bool named_ = false;  // has the temporary name
};

absl::Status AddFile(TarWriter& tar, const std::string& path, int fd) {
  TarEntry entry;
  entry.path = path;
  if (fstat(fd, &entry.st) != 0) return os::ErrnoStatus("stat " + path);
  entry.st.st_mode = S_IFREG | 0600;
  return tar.AddFile(entry, fd);
}

absl::Status AddImages(TarWriter& tar, int images_dir) {
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                          os::ListDirAt(images_dir, "."));
  for (const std::string& name : names) {
    PINION_ASSIGN_OR_RETURN(
        const os::UniqueFd fd,
        os::OpenAt(images_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    PINION_RETURN_IF_ERROR(AddFile(
        tar, name == kDumpLog ? name : absl::StrCat("checkpoint/", name),
        fd.get()));
  }
  return absl::OkStatus();
}

absl::Status WriteParts(const ArchiveParts& parts, int fd,
                        const std::string& path) {
  TarWriter tar(fd, TarFormat::kGnu, path);
  // First, so that a reader need not go through the images to find them.
  PINION_RETURN_IF_ERROR(tar.AddText("config.dump", parts.documents.config));
  PINION_RETURN_IF_ERROR(tar.AddText("spec.dump", parts.documents.spec));
  PINION_RETURN_IF_ERROR(
      tar.AddText("checkpoint/descriptors.json", parts.documents.descriptors));
  PINION_RETURN_IF_ERROR(AddImages(tar, parts.images_dir));
  if (lseek(parts.root_diff, 0, SEEK_SET) != 0) {
    return os::ErrnoStatus("lseek rootfs-diff.tar");
  }
  PINION_RETURN_IF_ERROR(AddFile(tar, "rootfs-diff.tar", parts.root_diff));
  return tar.Finish();
}

}  // namespace

absl::Status WriteArchive(const ArchiveParts& parts, const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = path.substr(slash + 1);
  const auto directory =
      os::OpenAt(AT_FDCWD, slash == 0 ? "/" : path.substr(0, slash),
                 O_RDONLY | O_DIRECTORY);
  // Not NotFound: it is no container that is missing.
  if (!directory.ok()) {
    return absl::FailedPreconditionError(directory.status().message());
  }
  PINION_ASSIGN_OR_RETURN(UnnamedFile file,
                          UnnamedFile::Create(directory->get(), name));
  PINION_RETURN_IF_ERROR(WriteParts(parts, file.fd(), path));
  return file.Name(name);
}

}  // namespace pinion::checkpoint
