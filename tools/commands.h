// pinionctl's commands, but for the demo: each prints its result and returns
// an error for main to print.

#ifndef PINION_TOOLS_COMMANDS_H_
#define PINION_TOOLS_COMMANDS_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "daemon/config.h"
#include "tools/command_line.h"
#include "tools/timeline.h"

namespace pinion::tools {

// The exit code.
absl::StatusOr<int> RunDoctor(const CommandLine& line);
absl::StatusOr<int> RunCpus(const CommandLine& line);
absl::StatusOr<int> RunIps(const CommandLine& line);
absl::StatusOr<int> RunTimeline(const CommandLine& line);
absl::StatusOr<int> RunImage(const CommandLine& line);
absl::StatusOr<int> RunTop(const CommandLine& line);
absl::StatusOr<int> RunNet(const CommandLine& line);

// InvalidArgument with `usage` unless there are `least` to `most` arguments.
absl::Status WantArguments(const CommandLine& line, size_t least, size_t most,
                           const std::string& usage);
// What the daemon on this machine uses, flags first.
absl::StatusOr<daemon::Config> ConfigOf(const CommandLine& line);
// The daemon's socket: the flag's, else the configuration's.
absl::StatusOr<std::string> SocketOf(const CommandLine& line);
// `status` of a call; Unavailable in words that tell what to do.
absl::Status NotServing(const absl::Status& status, const std::string& socket);

// AdminService.PodTimeline of the daemon on `socket`.
absl::StatusOr<Timeline> FetchTimeline(const std::string& socket,
                                       const std::string& pod);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_COMMANDS_H_
