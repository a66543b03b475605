#include "runtime/checkpoint/root_diff.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/unique_fd.h"
#include "runtime/checkpoint/tar_writer.h"

namespace pinion::checkpoint {
namespace {

// The container decides how many there are, and their names are kept.
constexpr size_t kMaxEntries = 1'000'000;

constexpr char kWhiteout[] = ".wh.";
constexpr char kOpaqueEntry[] = ".wh..wh..opq";
constexpr char kOverlayPrefix[] = "trusted.overlay.";
constexpr char kOpaqueAttribute[] = "trusted.overlay.opaque";

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

class DiffWriter {
 public:
  DiffWriter(int upper, int fd, std::chrono::steady_clock::time_point deadline)
      : upper_(upper),
        fd_(fd),
        tar_(fd, TarFormat::kPax, "rootfs-diff.tar"),
        deadline_(deadline) {}

  absl::Status Run() {
    // Half of what is free: the archive itself takes as much again. Sizes are
    // the container's word: a file of holes is written as zeros.
    struct statvfs space = {};
    if (fstatvfs(fd_, &space) != 0) return os::ErrnoStatus("fstatvfs");
    budget_ = space.f_bavail * space.f_frsize / 2;
    PINION_RETURN_IF_ERROR(AddPath("."));
    // Not a recursion: the container decides how deep it goes.
    std::vector<std::string> pending = {"."};
    while (!pending.empty()) {
      const std::string dir = std::move(pending.back());
      pending.pop_back();
      PINION_RETURN_IF_ERROR(AddChildren(dir, pending));
    }
    return tar_.Finish();
  }

 private:
  absl::StatusOr<os::UniqueFd> Open(const std::string& path, int flags) const {
    open_how how = {};
    how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC | O_NOFOLLOW;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    os::UniqueFd fd(static_cast<int>(
        syscall(SYS_openat2, upper_, path.c_str(), &how, sizeof(how))));
    if (!fd.valid()) return os::ErrnoStatus("open " + path);
    return fd;
  }

  absl::Status AddChildren(const std::string& dir,
                           std::vector<std::string>& pending) {
    PINION_ASSIGN_OR_RETURN(os::UniqueFd fd, Open(dir, O_RDONLY | O_DIRECTORY));
    const std::unique_ptr<DIR, CloseDir> stream(fdopendir(fd.get()));
    if (stream == nullptr) return os::ErrnoStatus("fdopendir " + dir);
    (void)fd.Release();  // the stream closes it
    errno = 0;
    while (const dirent* const each = readdir(stream.get())) {
      const std::string name = each->d_name;
      if (name == "." || name == "..") continue;
      if (++entries_ > kMaxEntries) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "the container has changed more than ", kMaxEntries, " files"));
      }
      if (std::chrono::steady_clock::now() > deadline_) {
        return absl::DeadlineExceededError("the checkpoint took too long");
      }
      if (absl::StartsWith(name, kWhiteout)) {
        return absl::FailedPreconditionError(
            absl::StrCat("a file is called ", dir, "/", name,
                         ": what begins with .wh. cannot be said in a layer"));
      }
      const std::string path = absl::StrCat(dir, "/", name);
      PINION_ASSIGN_OR_RETURN(const bool is_dir, AddChild(dir, name, path));
      if (is_dir) pending.push_back(path);
      errno = 0;
    }
    return errno == 0 ? absl::OkStatus() : os::ErrnoStatus("readdir " + dir);
  }

  // True for a directory.
  absl::StatusOr<bool> AddChild(const std::string& dir, const std::string& name,
                                const std::string& path) {
    PINION_ASSIGN_OR_RETURN(const os::UniqueFd fd, Open(path, O_PATH));
    TarEntry entry;
    if (fstat(fd.get(), &entry.st) != 0) return os::ErrnoStatus("stat " + path);
    entry.path = path;
    const mode_t type = entry.st.st_mode & S_IFMT;
    if (type == S_IFCHR && entry.st.st_rdev == 0) {
      PINION_RETURN_IF_ERROR(
          tar_.AddText(absl::StrCat(dir, "/", kWhiteout, name), ""));
      return false;
    }
    if (type == S_IFSOCK) return false;
    if (type == S_IFDIR) {
      PINION_RETURN_IF_ERROR(AddPath(path));
      return true;
    }
    PINION_RETURN_IF_ERROR(AddNode(fd.get(), entry));
    return false;
  }

  absl::Status AddNode(int fd, TarEntry& entry) {
    if (entry.st.st_nlink > 1) {
      const auto [known, is_new] = links_.emplace(
          std::make_pair(entry.st.st_dev, entry.st.st_ino), entry.path);
      if (!is_new) {
        entry.hardlink = known->second;
        return tar_.Add(entry);
      }
    }
    if (S_ISLNK(entry.st.st_mode)) {
      std::string target(static_cast<size_t>(entry.st.st_size) + 1, '\0');
      const ssize_t n = readlinkat(fd, "", target.data(), target.size());
      if (n < 0) return os::ErrnoStatus("readlink " + entry.path);
      target.resize(static_cast<size_t>(n));
      entry.symlink = target;
      return tar_.Add(entry);
    }
    if (!S_ISREG(entry.st.st_mode)) return tar_.Add(entry);
    const auto size = static_cast<uint64_t>(entry.st.st_size);
    if (size > budget_) {
      return absl::ResourceExhaustedError(
          absl::StrCat("no space for a checkpoint: ", entry.path, " has ", size,
                       " bytes, and half of what is free is used up"));
    }
    budget_ -= size;
    // The same file that was looked at, whatever has its name by now.
    PINION_ASSIGN_OR_RETURN(const os::UniqueFd content,
                            os::OpenAt(AT_FDCWD, os::FdPath(fd), O_RDONLY));
    PINION_RETURN_IF_ERROR(ReadXattrs(content.get(), entry, nullptr));
    return tar_.AddFile(entry, content.get(), deadline_);
  }

  // A directory.
  absl::Status AddPath(const std::string& path) {
    PINION_ASSIGN_OR_RETURN(const os::UniqueFd fd,
                            Open(path, O_RDONLY | O_DIRECTORY));
    TarEntry entry;
    entry.path = path;
    if (fstat(fd.get(), &entry.st) != 0) return os::ErrnoStatus("stat " + path);
    bool opaque = false;
    PINION_RETURN_IF_ERROR(ReadXattrs(fd.get(), entry, &opaque));
    PINION_RETURN_IF_ERROR(tar_.Add(entry));
    if (!opaque) return absl::OkStatus();
    return tar_.AddText(absl::StrCat(path, "/", kOpaqueEntry), "");
  }

  // All but overlayfs's own. `opaque` may be null.
  absl::Status ReadXattrs(int fd, TarEntry& entry, bool* opaque) {
    std::string names(size_t{64} << 10, '\0');
    const ssize_t size = flistxattr(fd, names.data(), names.size());
    if (size < 0) {
      if (errno == ENOTSUP) return absl::OkStatus();
      return os::ErrnoStatus("list attributes of " + entry.path);
    }
    for (size_t at = 0; at < static_cast<size_t>(size);) {
      const std::string name(names.c_str() + at);
      at += name.size() + 1;
      std::string value(size_t{64} << 10, '\0');
      const ssize_t n = fgetxattr(fd, name.c_str(), value.data(), value.size());
      if (n < 0) return os::ErrnoStatus("read attributes of " + entry.path);
      value.resize(static_cast<size_t>(n));
      if (name == kOpaqueAttribute && opaque != nullptr) {
        *opaque = value == "y";
      }
      if (absl::StartsWith(name, kOverlayPrefix)) continue;
      entry.xattrs.emplace_back(name, std::move(value));
    }
    return absl::OkStatus();
  }

  const int upper_;
  const int fd_;
  TarWriter tar_;
  const std::chrono::steady_clock::time_point deadline_;
  uint64_t budget_ = 0;  // bytes
  size_t entries_ = 0;
  // Files with several names: the first one seen.
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

absl::Status WriteRootDiff(int upper, int fd,
                           std::chrono::steady_clock::time_point deadline) {
  return DiffWriter(upper, fd, deadline).Run();
}

}  // namespace pinion::checkpoint
