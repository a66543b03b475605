#include "runtime/mount_points.h"

#include <fcntl.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/file.h"

namespace pinion::runtime {
namespace {

constexpr char kLayer[] = "mountpoints";
constexpr const char* kDirectories[] = {"", "/dev", "/etc", "/proc", "/sys"};
constexpr const char* kFiles[] = {"/etc/hostname", "/etc/hosts",
                                  "/etc/resolv.conf"};
// A page of mount options and overlayfs' 500 layers: an image that is near
// either gets its mount points the slow way.
constexpr size_t kMostLayers = 100;

}  // namespace

absl::Status MakeMountPoints(int root_dir) {
  for (const char* directory : kDirectories) {
    PINION_RETURN_IF_ERROR(
        os::MakeDirAt(root_dir, absl::StrCat(kLayer, directory), 0755));
  }
  for (const char* file : kFiles) {
    PINION_RETURN_IF_ERROR(os::OpenAt(root_dir, absl::StrCat(kLayer, file),
                                      O_WRONLY | O_CREAT | O_NOFOLLOW, 0644)
                               .status());
  }
  return absl::OkStatus();
}

void AddMountPoints(std::vector<std::string>& lowers) {
  if (lowers.size() <= kMostLayers) lowers.push_back(kLayer);
}

}  // namespace pinion::runtime
