// Configuration files: whatever stands in one, it is applied or an error
// that names the file; and what was applied can be shown.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "daemon/config.h"
#include "daemon/config_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  pinion::daemon::Config config;
  const absl::Status status =
      pinion::daemon::ApplyToml(text, "fuzz.toml", &config);
  if (!status.ok() && status.message().substr(0, 10) != "fuzz.toml:") {
    std::abort();
  }
  if (pinion::daemon::ConfigJson(config).empty()) std::abort();
  return 0;
}
