#include "network/device_name.h"

#include <net/if.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace pinion::network {
namespace {

absl::Status Refuse(const std::string& name, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name, "\" is no name of a network device: ", why));
}

}  // namespace

absl::Status CheckDeviceName(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return Refuse(name, "it must have 1 to 15 bytes");
  }
  if (name == "." || name == ".." || name == "all" || name == "default") {
    return Refuse(name, "the kernel takes it for a directory of sysctls");
  }
  if (!std::all_of(name.begin(), name.end(),
                   [](char c) { return c > ' ' && c <= '~'; }) ||
      name.find_first_of("/:%") != std::string::npos) {
    return Refuse(name,
                  "it must be of visible ASCII characters without /, : and %");
  }
  return absl::OkStatus();
}

absl::Status CheckPodInterfaceName(const std::string& name) {
  if (name == "lo") {
    return absl::InvalidArgumentError(
        "must be another device than \"lo\", the loopback of every pod");
  }
  return CheckDeviceName(name);
}

}  // namespace pinion::network
