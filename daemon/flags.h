// piniond's command line. A flag beats the configuration files.
//
// Thread-safe.

#ifndef PINION_DAEMON_FLAGS_H_
#define PINION_DAEMON_FLAGS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/config.h"

namespace pinion::daemon {

struct Flags {
  std::string config;  // empty: kDefaultConfigPath, which may be absent
  bool check_config = false;
  bool version = false;
  bool help = false;
  // Configuration key -> value of flags such as --root.
  std::map<std::string, std::string> values;
};

// `arguments` without the program's name. "--flag VALUE" and "--flag=VALUE";
// InvalidArgument for anything else.
absl::StatusOr<Flags> ParseFlags(const std::vector<std::string>& arguments);

std::string HelpText();

// Files, then flags. Every error is one sentence that names file, line and
// key, or the flag.
absl::StatusOr<Config> LoadConfig(const Flags& flags);

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_FLAGS_H_
