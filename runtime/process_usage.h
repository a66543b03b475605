// What processes hold open, and the limit on it, from /proc (proc(5)).
//
// Thread-safe. A process that ends meanwhile is left out.

#ifndef PINION_RUNTIME_PROCESS_USAGE_H_
#define PINION_RUNTIME_PROCESS_USAGE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/usage.h"

namespace pinion::runtime {

// Descriptors and sockets of `pids`; the limit of `first` (0: none).
ProcessUsage MeasureProcesses(const std::vector<pid_t>& pids, pid_t first);

// The soft limit of "Max open files" in the text of /proc/PID/limits. Pure.
std::optional<uint64_t> ParseMaxOpenFiles(std::string_view limits);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_PROCESS_USAGE_H_
