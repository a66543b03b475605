// pinionctl's command line: flags for all commands, a command, its arguments.
//
// Thread-safe.

#ifndef PINION_TOOLS_COMMAND_LINE_H_
#define PINION_TOOLS_COMMAND_LINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::tools {

struct CommandLine {
  // Empty: as the configuration says.
  std::string root;
  std::string state;
  std::string socket;
  std::string config;  // empty: /etc/pinion/pinion.toml, which may be absent
  bool json = false;
  bool help = false;
  bool version = false;
  bool keep = false;  // demo: leave the scratch directory
  std::string image;  // demo: instead of the kit's
  // top:
  bool once = false;
  bool containers = false;
  std::string sort;
  std::string interval;
  // net: how long the checks may take, in seconds; the name to ask DNS for.
  std::string timeout;
  std::string query;    // seconds
  std::string command;  // empty: none was given
  std::vector<std::string> arguments;
};

// `words` without the program's name. Flags may stand anywhere; after "--"
// everything is an argument. InvalidArgument for an unknown flag.
absl::StatusOr<CommandLine> ParseCommandLine(
    const std::vector<std::string>& words);

std::string UsageText();

}  // namespace pinion::tools

#endif  // PINION_TOOLS_COMMAND_LINE_H_
