#include <cstddef>
#include <string_view>

#include "os/memfd.h"
#include "runtime/monitor/client.h"

extern "C" const char pinion_monitor_image_begin[];
extern "C" const char pinion_monitor_image_end[];

namespace pinion::monitor {

absl::StatusOr<os::UniqueFd> OpenMonitorImage() {
  return os::SealedMemfd(
      "pinion-monitor",
      std::string_view(pinion_monitor_image_begin,
                       static_cast<size_t>(pinion_monitor_image_end -
                                           pinion_monitor_image_begin)));
}

}  // namespace pinion::monitor
