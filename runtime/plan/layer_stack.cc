#include "runtime/plan/layer_stack.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <deque>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::plan {
namespace {

constexpr int kMaxLinks = 40;

bool IsWhiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

// Of a directory opened for reading (an O_PATH descriptor has no xattrs).
bool IsOpaque(int dir) {
  char value = 0;
  return fgetxattr(dir, "trusted.overlay.opaque", &value, 1) == 1 &&
         value == 'y';
}

absl::StatusOr<std::string> ReadLink(int dir, const std::string& name) {
  char target[PATH_MAX];
  const ssize_t n = readlinkat(dir, name.c_str(), target, sizeof(target));
  if (n < 0) return os::ErrnoStatus(absl::StrCat("readlink ", name));
  return std::string(target, static_cast<size_t>(n));
}

// Puts the components of `path` in front of `todo`.
void Prepend(const std::string& path, std::deque<std::string>& todo) {
  const std::vector<std::string> parts =
      absl::StrSplit(path, '/', absl::SkipEmpty());
  todo.insert(todo.begin(), parts.begin(), parts.end());
}

absl::StatusOr<std::string> ReadRegular(int dir, const std::string& name,
                                        const std::string& path, size_t limit) {
  // A FIFO or a device must neither block nor be read.
  PINION_ASSIGN_OR_RETURN(
      const os::UniqueFd fd,
      os::OpenAt(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return os::ErrnoStatus("fstat " + path);
  if (!S_ISREG(st.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " in the image is not a regular file"));
  }
  return os::ReadFd(fd.get(), path, limit);
}

}  // namespace

absl::StatusOr<LayerStack> LayerStack::Open(
    const std::vector<std::string>& dirs) {
  LayerStack stack;
  for (const std::string& dir : dirs) {
    PINION_ASSIGN_OR_RETURN(os::UniqueFd fd,
                            os::OpenAt(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY));
    stack.root_.push_back(std::make_shared<os::UniqueFd>(std::move(fd)));
  }
  return stack;
}

absl::StatusOr<LayerStack::Entry> LayerStack::Lookup(const MergedDir& dir,
                                                     const std::string& name) {
  Entry entry;
  for (const auto& layer : dir) {
    struct stat st;
    if (fstatat(layer->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return os::ErrnoStatus(absl::StrCat("fstatat ", name));
    }
    const bool merging = !entry.dir.empty();
    if (IsWhiteout(st) || (merging && !S_ISDIR(st.st_mode))) break;
    if (S_ISLNK(st.st_mode)) {
      entry.kind = Entry::Kind::kLink;
      PINION_ASSIGN_OR_RETURN(entry.target, ReadLink(layer->get(), name));
      return entry;
    }
    if (!S_ISDIR(st.st_mode)) {
      entry.kind = Entry::Kind::kOther;
      entry.parent = layer->get();
      return entry;
    }
    PINION_ASSIGN_OR_RETURN(
        os::UniqueFd fd,
        os::OpenAt(layer->get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    const bool opaque = IsOpaque(fd.get());
    entry.kind = Entry::Kind::kDir;
    entry.dir.push_back(std::make_shared<os::UniqueFd>(std::move(fd)));
    if (opaque) break;
  }
  return entry;
}

absl::StatusOr<std::string> LayerStack::ReadFile(const std::string& path,
                                                 size_t limit) const {
  std::vector<MergedDir> at = {root_};  // the way from the root, for ".."
  std::deque<std::string> todo;
  Prepend(path, todo);
  int links = 0;
  while (!todo.empty()) {
    const std::string name = todo.front();
    todo.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      if (at.size() > 1) at.pop_back();
      continue;
    }
    PINION_ASSIGN_OR_RETURN(Entry entry, Lookup(at.back(), name));
    switch (entry.kind) {
      case Entry::Kind::kMissing:
        return absl::NotFoundError(absl::StrCat("no ", path, " in the image"));
      case Entry::Kind::kDir:
        at.push_back(std::move(entry.dir));
        break;
      case Entry::Kind::kLink:
        if (++links > kMaxLinks) {
          return absl::InvalidArgumentError(
              absl::StrCat(path, " in the image: too many links"));
        }
        if (entry.target[0] == '/') at.resize(1);
        Prepend(entry.target, todo);
        break;
      case Entry::Kind::kOther:
        if (!todo.empty()) {
          return absl::NotFoundError(
              absl::StrCat("no ", path, " in the image"));
        }
        return ReadRegular(entry.parent, name, path, limit);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, " in the image is not a regular file"));
}

}  // namespace pinion::plan
