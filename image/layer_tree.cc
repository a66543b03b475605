#include "image/layer_tree.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::image {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kReserved = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr char kOverlayOpaque[] = "trusted.overlay.opaque";
// As many as the kernel follows in one path (path_resolution(7)).
constexpr int kMaxLinks = 40;
constexpr uint64_t kMaxRemembered = uint64_t{64} << 20;
constexpr uint64_t kBlock = 4096;

bool HasPrefix(const std::string& text, std::string_view prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

absl::Status Refuse(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat("layer entry ", path.substr(0, 300), ": ", why));
}

// The components of a name in the archive. A leading '/' means nothing (the
// layer is the root); ".." has no honest use.
absl::StatusOr<std::vector<std::string>> Split(const std::string& path) {
  std::vector<std::string> parts;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return Refuse(path, "its path has \"..\"");
    parts.emplace_back(part);
  }
  return parts;
}

std::string Join(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : absl::StrCat(parent, "/", name);
}

// Attributes that mean something to a container and nothing to overlayfs or
// to the host: the rest is dropped, "trusted.overlay." before all.
bool IsWantedXattr(const std::string& name) {
  if (name == "security.capability") return true;
  return HasPrefix(name, "user.") && !HasPrefix(name, "user.overlay.");
}

template <typename Container>
void EraseBelow(Container& container, const std::string& path) {
  container.erase(path);
  // '0' follows '/': the range is exactly what starts with "path/".
  container.erase(container.lower_bound(path + "/"),
                  container.lower_bound(path + "0"));
}

}  // namespace

LayerTree::LayerTree(os::UniqueFd root) : root_(std::move(root)) {}

void LayerTree::CountInode(uint64_t size) {
  ++inodes_;
  bytes_ += (size + kBlock - 1) / kBlock * kBlock;
}

absl::StatusOr<LayerTree::Place> LayerTree::Locate(const std::string& path) {
  PINION_ASSIGN_OR_RETURN(std::vector<std::string> parts, Split(path));
  Place place;
  if (parts.empty()) {
    place.dir = root_.get();
    return place;
  }
  place.name = std::move(parts.back());
  parts.pop_back();
  place.parent = absl::StrJoin(parts, "/");
  PINION_RETURN_IF_ERROR_AS(EnterParent(place.parent),
                            absl::StrCat("layer entry ", path));
  place.dir = place.parent.empty() ? root_.get() : parent_.get();
  return place;
}

absl::Status LayerTree::EnterParent(const std::string& parent) {
  if (parent.empty() || (parent_known_ && parent == parent_path_)) {
    return absl::OkStatus();
  }
  constexpr int kFlags = O_PATH | O_DIRECTORY;
  parent_known_ = false;
  auto opened = os::OpenInRoot(root_.get(), parent, kFlags);
  if (!opened.ok()) {
    PINION_ASSIGN_OR_RETURN(const std::string made, MakeParents(parent));
    opened = os::OpenInRoot(root_.get(), made.empty() ? "." : made, kFlags);
    if (!opened.ok()) return opened.status();
  }
  parent_ = *std::move(opened);
  parent_path_ = parent;
  parent_known_ = true;
  return absl::OkStatus();
}

// Walks component by component; `done` only ever holds real directories, so
// joining it with one more name cannot leave the root.
absl::StatusOr<std::string> LayerTree::MakeParents(const std::string& parent) {
  std::deque<std::string> todo = absl::StrSplit(parent, '/');
  std::vector<std::string> done;
  int links = 0;
  while (!todo.empty()) {
    const std::string part = std::move(todo.front());
    todo.pop_front();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    const std::string path = Join(absl::StrJoin(done, "/"), part);
    struct stat st = {};
    const bool exists =
        fstatat(root_.get(), path.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!exists && errno != ENOENT) return os::ErrnoStatus("stat " + path);
    if (exists && S_ISLNK(st.st_mode)) {
      char target[PATH_MAX];
      const ssize_t n =
          readlinkat(root_.get(), path.c_str(), target, sizeof(target));
      if (n < 0) return os::ErrnoStatus("readlink " + path);
      if (++links > kMaxLinks) return os::ErrnoStatus(ELOOP, "open " + parent);
      const std::string text(target, static_cast<size_t>(n));
      if (HasPrefix(text, "/")) done.clear();
      const std::vector<std::string> parts = absl::StrSplit(text, '/');
      todo.insert(todo.begin(), parts.begin(), parts.end());
      continue;
    }
    const bool whiteout = exists && S_ISCHR(st.st_mode) && st.st_rdev == 0;
    if (whiteout && unlinkat(root_.get(), path.c_str(), 0) != 0) {
      return os::ErrnoStatus("unlink " + path);
    }
    if (!exists || whiteout) {
      if (mkdirat(root_.get(), path.c_str(), 0755) != 0) {
        return os::ErrnoStatus("mkdir " + path);
      }
      CountInode(kBlock);
      implicit_.insert(path);
      remembered_ += path.size();
      if (whiteout) {
        PINION_ASSIGN_OR_RETURN(
            const os::UniqueFd fd,
            os::OpenAt(root_.get(), path, O_RDONLY | O_DIRECTORY));
        PINION_RETURN_IF_ERROR(SetOpaque(fd.get(), path));
      }
    } else if (!S_ISDIR(st.st_mode)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " is not a directory"));
    }
    done.push_back(part);
  }
  return absl::StrJoin(done, "/");
}

absl::StatusOr<os::UniqueFd> LayerTree::Apply(const TreeEntry& entry) {
  if (remembered_ > kMaxRemembered) {
    return absl::InvalidArgumentError("layer has too many directories");
  }
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> parts,
                          Split(entry.path));
  for (size_t i = 0; i < parts.size(); ++i) {
    // aufs' own files, which no image means.
    if (HasPrefix(parts[i], kReserved) && parts[i] != kOpaque) {
      return os::UniqueFd();
    }
    if (i + 1 < parts.size() && HasPrefix(parts[i], kWhiteout)) {
      return Refuse(entry.path, "a whiteout is no directory");
    }
  }
  if (parts.empty()) {
    PINION_RETURN_IF_ERROR(ApplyRoot(entry));
    return os::UniqueFd();
  }
  PINION_ASSIGN_OR_RETURN(const Place place, Locate(entry.path));
  if (HasPrefix(place.name, kWhiteout)) {
    PINION_RETURN_IF_ERROR(ApplyWhiteout(place, entry));
  } else if (!entry.hardlink.empty()) {
    PINION_RETURN_IF_ERROR(ApplyHardLink(entry));
  } else if (S_ISDIR(entry.mode)) {
    PINION_RETURN_IF_ERROR(ApplyDirectory(place, entry));
  } else if (S_ISREG(entry.mode)) {
    bool exists = false;
    bool hides = false;
    PINION_RETURN_IF_ERROR(Clear(place, false, exists, hides));
    return os::OpenAt(place.dir, place.name,
                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  } else {
    PINION_RETURN_IF_ERROR(ApplyNode(place, entry));
  }
  return os::UniqueFd();
}

absl::Status LayerTree::ApplyRoot(const TreeEntry& entry) {
  if (!S_ISDIR(entry.mode) || !entry.hardlink.empty()) {
    return Refuse(entry.path, "the root must be a directory");
  }
  if (fchown(root_.get(), entry.uid, entry.gid) != 0 ||
      fchmod(root_.get(), entry.mode & 07777) != 0) {
    return os::ErrnoStatus("chown or chmod of the layer's root");
  }
  root_given_ = true;
  directory_times_["."] = entry.mtime;
  return SetXattrs(root_.get(), entry);
}

absl::Status LayerTree::ApplyWhiteout(const Place& place,
                                      const TreeEntry& entry) {
  if (place.name == kOpaque) {
    if (place.parent.empty()) {
      root_opaque_ = true;
      return absl::OkStatus();
    }
    PINION_ASSIGN_OR_RETURN(const os::UniqueFd dir,
                            os::OpenAt(place.dir, ".", O_RDONLY | O_DIRECTORY));
    return SetOpaque(dir.get(), place.parent);
  }
  const std::string name = place.name.substr(kWhiteout.size());
  if (name.empty() || name == "." || name == "..") {
    return Refuse(entry.path, "a whiteout of nothing or of \"..\"");
  }
  struct stat st = {};
  if (fstatat(place.dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    // A whiteout speaks of the layers below only: what this layer has itself
    // stays, and a directory no longer shows what is below it.
    if (!S_ISDIR(st.st_mode)) return absl::OkStatus();
    PINION_ASSIGN_OR_RETURN(
        const os::UniqueFd dir,
        os::OpenAt(place.dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    return SetOpaque(dir.get(), entry.path);
  }
  if (errno != ENOENT) return os::ErrnoStatus("stat " + entry.path);
  if (mknodat(place.dir, name.c_str(), S_IFCHR, makedev(0, 0)) != 0) {
    return os::ErrnoStatus("mknod whiteout " + entry.path);
  }
  CountInode(0);
  return absl::OkStatus();
}

absl::Status LayerTree::ApplyDirectory(const Place& place,
                                       const TreeEntry& entry) {
  bool exists = false;
  bool hides = false;
  PINION_RETURN_IF_ERROR(Clear(place, true, exists, hides));
  if (!exists) {
    if (mkdirat(place.dir, place.name.c_str(), 0700) != 0) {
      return os::ErrnoStatus("mkdir " + entry.path);
    }
    CountInode(kBlock);
  }
  PINION_RETURN_IF_ERROR(SetAttributes(place.dir, place.name, entry));
  if (hides || !entry.xattrs.empty()) {
    PINION_ASSIGN_OR_RETURN(
        const os::UniqueFd dir,
        os::OpenAt(place.dir, place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (hides) PINION_RETURN_IF_ERROR(SetOpaque(dir.get(), entry.path));
    PINION_RETURN_IF_ERROR(SetXattrs(dir.get(), entry));
  }
  const std::string path = Join(place.parent, place.name);
  implicit_.erase(path);
  directory_times_[path] = entry.mtime;
  remembered_ += path.size();
  return absl::OkStatus();
}

absl::Status LayerTree::ApplyHardLink(const TreeEntry& entry) {
  PINION_ASSIGN_OR_RETURN(std::vector<std::string> parts,
                          Split(entry.hardlink));
  if (parts.empty()) return Refuse(entry.path, "a hard link to the root");
  const std::string name = std::move(parts.back());
  parts.pop_back();
  const std::string parent = absl::StrJoin(parts, "/");
  const auto from = os::OpenInRoot(root_.get(), parent.empty() ? "." : parent,
                                   O_PATH | O_DIRECTORY);
  PINION_ASSIGN_OR_RETURN(const Place place, Locate(entry.path));
  struct stat target = {};
  if (!from.ok() ||
      fstatat(from->get(), name.c_str(), &target, AT_SYMLINK_NOFOLLOW) != 0) {
    return Refuse(entry.path, absl::StrCat("a hard link to ", entry.hardlink,
                                           ", which the layer does not have"));
  }
  struct stat old = {};
  if (fstatat(place.dir, place.name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 &&
      old.st_ino == target.st_ino && old.st_dev == target.st_dev) {
    return absl::OkStatus();
  }
  bool exists = false;
  bool hides = false;
  PINION_RETURN_IF_ERROR(Clear(place, false, exists, hides));
  if (linkat(from->get(), name.c_str(), place.dir, place.name.c_str(), 0) !=
      0) {
    return os::ErrnoStatus(
        absl::StrCat("hard link ", entry.path, " to ", entry.hardlink));
  }
  return absl::OkStatus();
}

absl::Status LayerTree::ApplyNode(const Place& place, const TreeEntry& entry) {
  bool exists = false;
  bool hides = false;
  PINION_RETURN_IF_ERROR(Clear(place, false, exists, hides));
  const char* const name = place.name.c_str();
  if (S_ISLNK(entry.mode)) {
    if (symlinkat(entry.symlink.c_str(), place.dir, name) != 0) {
      return os::ErrnoStatus("symlink " + entry.path);
    }
  } else if (S_ISFIFO(entry.mode) || S_ISCHR(entry.mode) ||
             S_ISBLK(entry.mode)) {
    if (mknodat(place.dir, name, (entry.mode & S_IFMT) | 0600, entry.rdev) !=
        0) {
      return os::ErrnoStatus("mknod " + entry.path);
    }
  } else {
    return Refuse(entry.path, "of an unknown type");
  }
  CountInode(0);
  return SetAttributes(place.dir, place.name, entry);
}

absl::Status LayerTree::Clear(const Place& place, bool keep_directory,
                              bool& exists, bool& hides) {
  exists = false;
  hides = false;
  struct stat st = {};
  if (fstatat(place.dir, place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return os::ErrnoStatus("stat " + Join(place.parent, place.name));
  }
  const std::string path = Join(place.parent, place.name);
  if (S_ISDIR(st.st_mode)) {
    exists = keep_directory;
    if (keep_directory) return absl::OkStatus();
    EraseBelow(implicit_, path);
    EraseBelow(directory_times_, path);
    return os::RemoveTreeAt(place.dir, place.name);
  }
  hides = true;
  if (unlinkat(place.dir, place.name.c_str(), 0) != 0) {
    return os::ErrnoStatus("unlink " + path);
  }
  return absl::OkStatus();
}

// Of a directory or node that Apply has just made or checked, so that the
// name is no symbolic link where a call would follow one.
absl::Status LayerTree::SetAttributes(int dir, const std::string& name,
                                      const TreeEntry& entry) {
  if (fchownat(dir, name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) !=
      0) {
    return os::ErrnoStatus("chown " + entry.path);
  }
  if (!S_ISLNK(entry.mode) &&
      fchmodat(dir, name.c_str(), entry.mode & 07777, 0) != 0) {
    return os::ErrnoStatus("chmod " + entry.path);
  }
  if (S_ISDIR(entry.mode)) return absl::OkStatus();  // Finish sets its time
  const timespec times[2] = {{0, UTIME_OMIT}, entry.mtime};
  if (utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return os::ErrnoStatus("utimensat " + entry.path);
  }
  return absl::OkStatus();
}

absl::Status LayerTree::SetXattrs(int fd, const TreeEntry& entry) {
  for (const auto& [name, value] : entry.xattrs) {
    if (!IsWantedXattr(name)) continue;
    if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) {
      continue;
    }
    // Not every file system has user attributes; a lost capability, on the
    // other hand, would break the program.
    if (errno == EOPNOTSUPP && HasPrefix(name, "user.")) continue;
    return os::ErrnoStatus(absl::StrCat("setxattr ", name, " on ", entry.path));
  }
  return absl::OkStatus();
}

absl::Status LayerTree::SetOpaque(int fd, const std::string& path) {
  if (fsetxattr(fd, kOverlayOpaque, "y", 1, 0) != 0) {
    return os::ErrnoStatus(
        absl::StrCat("setxattr ", kOverlayOpaque, " on ", path));
  }
  return absl::OkStatus();
}

absl::Status LayerTree::FinishFile(const os::UniqueFd& file,
                                   const TreeEntry& entry, uint64_t size) {
  // In this order: chown clears set-uid bits and capabilities (chown(2)).
  if (fchown(file.get(), entry.uid, entry.gid) != 0) {
    return os::ErrnoStatus("chown " + entry.path);
  }
  if (fchmod(file.get(), entry.mode & 07777) != 0) {
    return os::ErrnoStatus("chmod " + entry.path);
  }
  PINION_RETURN_IF_ERROR(SetXattrs(file.get(), entry));
  const timespec times[2] = {{0, UTIME_OMIT}, entry.mtime};
  if (futimens(file.get(), times) != 0) {
    return os::ErrnoStatus("utimensat " + entry.path);
  }
  CountInode(size);
  return absl::OkStatus();
}

absl::Status LayerTree::Finish() {
  if (!root_given_ && fchmod(root_.get(), 0755) != 0) {
    return os::ErrnoStatus("chmod of the layer's root");
  }
  // Innermost first would be needless: setting a time touches no other.
  for (const auto& [path, mtime] : directory_times_) {
    const auto dir =
        os::OpenInRoot(root_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!dir.ok()) continue;  // gone or replaced since
    const timespec times[2] = {{0, UTIME_OMIT}, mtime};
    if (futimens(dir->get(), times) != 0) {
      return os::ErrnoStatus("utimensat " + path);
    }
  }
  return absl::OkStatus();
}

}  // namespace pinion::image
