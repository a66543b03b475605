#include "image/inherit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::image {
namespace {

constexpr size_t kMaxPaths = 10'000;

enum class Look {
  kAbsent,     // ask the next layer below
  kDirectory,  // here it is
  kHidden,     // whatever is further below does not show
};

bool IsOpaque(int root, const std::string& path) {
  const auto dir =
      os::OpenInRoot(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  char value = 0;
  return dir.ok() &&
         fgetxattr(dir->get(), "trusted.overlay.opaque", &value,
                   sizeof(value)) == 1 &&
         value == 'y';
}

// Component by component, so that whiteouts, files, symbolic links and opaque
// directories on the way are seen.
Look LookUp(int root, const std::string& path, struct stat& st) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  std::string at;
  bool opaque = false;
  for (const std::string& part : parts) {
    if (!at.empty()) opaque = opaque || IsOpaque(root, at);
    absl::StrAppend(&at, at.empty() ? "" : "/", part);
    if (fstatat(root, at.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return opaque ? Look::kHidden : Look::kAbsent;
    }
    if (!S_ISDIR(st.st_mode)) return Look::kHidden;
  }
  return Look::kDirectory;
}

absl::Status CopyTo(const os::UniqueFd& layer, const std::string& path,
                    const struct stat& from) {
  const auto dir =
      os::OpenInRoot(layer.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir.ok()) return dir.status();
  const timespec times[2] = {{0, UTIME_OMIT}, from.st_mtim};
  if (fchown(dir->get(), from.st_uid, from.st_gid) != 0 ||
      fchmod(dir->get(), from.st_mode & 07777) != 0 ||
      futimens(dir->get(), times) != 0) {
    return os::ErrnoStatus("chown, chmod or utimensat " + path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status InheritAttributes(const os::UniqueFd& layer,
                               const std::vector<std::string>& implicit,
                               const std::vector<const os::UniqueFd*>& below) {
  for (size_t i = 0; i < std::min(implicit.size(), kMaxPaths); ++i) {
    for (const os::UniqueFd* lower : below) {
      struct stat st = {};
      const Look look = LookUp(lower->get(), implicit[i], st);
      if (look == Look::kAbsent) continue;
      if (look == Look::kDirectory) {
        const absl::Status status = CopyTo(layer, implicit[i], st);
        if (!status.ok()) return status;
      }
      break;
    }
  }
  return absl::OkStatus();
}

}  // namespace pinion::image
