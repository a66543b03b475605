#include "runtime/writable_usage.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::runtime {

absl::StatusOr<image::FsUsage> MeasureWritableLayers(int dir,
                                                     const std::string& path) {
  image::FsUsage usage;
  usage.mountpoint = path;
  struct stat top = {};
  if (fstat(dir, &top) != 0) return os::ErrnoStatus("fstat " + path);
  std::set<std::pair<dev_t, ino_t>> linked;
  std::vector<std::string> pending = {"."};
  while (!pending.empty()) {
    const std::string current = std::move(pending.back());
    pending.pop_back();
    const auto names = os::ListDirAt(dir, current);
    if (absl::IsNotFound(names.status())) continue;
    PINION_RETURN_IF_ERROR(names.status());
    for (const std::string& name : *names) {
      const std::string entry = current + "/" + name;
      struct stat st = {};
      if (fstatat(dir, entry.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (st.st_dev != top.st_dev) continue;
      if (st.st_nlink > 1 && !S_ISDIR(st.st_mode) &&
          !linked.emplace(st.st_dev, st.st_ino).second) {
        continue;
      }
      usage.used_bytes += static_cast<uint64_t>(st.st_blocks) * 512;
      ++usage.inodes_used;
      if (S_ISDIR(st.st_mode)) pending.push_back(entry);
    }
  }
  return usage;
}

}  // namespace pinion::runtime
