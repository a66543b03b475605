// `pinionctl demo`: what `./dev run` shows. A private piniond pulls a real
// image from a registry, runs a pod with it, talks to it, and removes it
// without a trace; each step is checked, and the exit code says whether all
// were as they should be.

#ifndef PINION_TOOLS_DEMO_H_
#define PINION_TOOLS_DEMO_H_

#include "absl/status/statusor.h"
#include "tools/command_line.h"

namespace pinion::tools {

absl::StatusOr<int> RunDemo(const CommandLine& line);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_DEMO_H_
