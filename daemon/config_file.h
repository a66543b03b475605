// The configuration's files: pinion.toml, then the drop-ins of
// pinion.conf.d/*.toml in the order of their names. A later value replaces an
// earlier one; lists are replaced whole.
//
// Thread-safe.

#ifndef PINION_DAEMON_CONFIG_FILE_H_
#define PINION_DAEMON_CONFIG_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "daemon/config.h"

namespace pinion::daemon {

inline constexpr char kDefaultConfigPath[] = "/etc/pinion/pinion.toml";

// Applies one file's text. InvalidArgument names file, line and key:
// "/etc/pinion/pinion.toml:12: network.rnage: unknown key; did you mean
// network.range?". `config` may be half changed then.
absl::Status ApplyToml(const std::string& text, const std::string& file,
                       Config* config);

// Reads `path` and its drop-ins (`path` with ".toml" replaced by ".conf.d").
// A missing drop-in directory is fine; a missing `path` only if `optional`.
absl::Status ReadConfigFiles(const std::string& path, bool optional,
                             Config* config);

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_CONFIG_FILE_H_
