#include "runtime/device_name.h"

#include <limits.h>
#include <unistd.h>

#include <string_view>

#include "absl/strings/str_cat.h"

namespace pinion::runtime {

std::string BlockDeviceName(uint32_t major, uint32_t minor) {
  const std::string number = absl::StrCat(major, ":", minor);
  // A link to ../../devices/…/block/vda/vda1.
  const std::string link = "/sys/dev/block/" + number;
  char target[PATH_MAX];
  const ssize_t n = readlink(link.c_str(), target, sizeof(target));
  if (n <= 0) return number;
  const std::string_view path(target, static_cast<size_t>(n));
  const size_t slash = path.rfind('/');
  std::string name(path.substr(slash == path.npos ? 0 : slash + 1));
  // sysfs cannot hold a '/' in a name and has '!' for it (cciss!c0d0).
  for (char& c : name) {
    if (c == '!') c = '/';
  }
  return "/dev/" + name;
}

}  // namespace pinion::runtime
