// Processes told apart by pid and start time.
//
// Thread-safe.

#ifndef PINION_OS_PROCESS_H_
#define PINION_OS_PROCESS_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pinion::os {

// Field 22 of /proc/PID/stat (proc(5)): when the process started, in clock
// ticks since boot. NotFound if there is no such process.
absl::StatusOr<uint64_t> ProcessStartTicks(pid_t pid);

// Sends `signal` if the process with this pid started at `start_ticks`; a
// process that is gone, or another one with its pid, is success and is left
// alone. Goes through a pidfd, so that the pid cannot be reused in between.
absl::Status KillIfSame(pid_t pid, uint64_t start_ticks, int signal);

}  // namespace pinion::os

#endif  // PINION_OS_PROCESS_H_
