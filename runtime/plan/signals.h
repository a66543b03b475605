// Names of signals, as image configurations and users write them.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_SIGNALS_H_
#define PINION_RUNTIME_PLAN_SIGNALS_H_

#include <string>

#include "absl/status/statusor.h"

namespace pinion::plan {

// "SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-1". The real-time range is
// the kernel's as programs see it: 34 to 64. InvalidArgument otherwise.
absl::StatusOr<int> ParseSignal(const std::string& name);

// "SIGTERM" for 15, "SIGRTMIN+3" for 37; the number where it has no name.
std::string SignalName(int signal);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_SIGNALS_H_
