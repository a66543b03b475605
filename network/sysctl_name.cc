#include "network/sysctl_name.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace pinion::network {

std::string Ipv4SettingName(const std::string& device,
                            const std::string& setting) {
  return absl::StrCat("net.ipv4.conf.",
                      absl::StrReplaceAll(device, {{".", "/"}}), ".", setting);
}

}  // namespace pinion::network
