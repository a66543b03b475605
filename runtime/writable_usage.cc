#include "runtime/writable_usage.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/tree_walk.h"

namespace pinion::runtime {

absl::StatusOr<image::FsUsage> MeasureWritableLayers(int dir,
                                                     const std::string& path) {
  image::FsUsage usage;
  usage.mountpoint = path;
  struct stat top = {};
  if (fstat(dir, &top) != 0) return os::ErrnoStatus("fstat " + path);
  std::set<std::pair<dev_t, ino_t>> linked;
  os::TreeVisitor visitor;
  visitor.enter = [&](int entered) -> absl::StatusOr<std::vector<std::string>> {
    std::vector<std::string> directories;
    PINION_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            os::ListDirAt(entered, "."));
    for (const std::string& name : names) {
      struct stat st = {};
      if (fstatat(entered, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        continue;
      }
      if (st.st_dev != top.st_dev) continue;
      if (st.st_nlink > 1 && !S_ISDIR(st.st_mode) &&
          !linked.emplace(st.st_dev, st.st_ino).second) {
        continue;
      }
      usage.used_bytes += static_cast<uint64_t>(st.st_blocks) * 512;
      ++usage.inodes_used;
      if (S_ISDIR(st.st_mode)) directories.push_back(name);
    }
    return directories;
  };
  PINION_RETURN_IF_ERROR(os::WalkTree(dir, path, visitor));
  return usage;
}

}  // namespace pinion::runtime
