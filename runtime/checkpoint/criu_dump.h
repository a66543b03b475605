// Runs criu(8) to dump a running container.
//
// Thread-safe.

#ifndef PINION_RUNTIME_CHECKPOINT_CRIU_DUMP_H_
#define PINION_RUNTIME_CHECKPOINT_CRIU_DUMP_H_

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "runtime/checkpoint/criu.h"

namespace pinion::checkpoint {

struct DumpRun {
  std::string criu;     // its path
  DumpCommand command;  // but for `script`, which Dump writes
  // A process in the network, IPC and UTS namespaces that the container shares
  // with its pod: criu is run in them, and takes them for granted.
  pid_t namespaces_pid = 0;
  uint64_t namespaces_start_ticks = 0;
  // Called when the images are complete and the container still stands. If it
  // fails, so does Dump, with its error.
  std::function<absl::Status()> while_stopped;
  // What takes longer is a failure. A dump under way is not broken off before
  // the container goes on by itself, so the answer may come later.
  std::chrono::steady_clock::time_point deadline;
};

// The container runs on afterwards, whatever happened, also if this process is
// killed meanwhile. FailedPrecondition with criu's own words if it refuses;
// DeadlineExceeded.
absl::Status Dump(const DumpRun& run);

}  // namespace pinion::checkpoint

#endif  // PINION_RUNTIME_CHECKPOINT_CRIU_DUMP_H_
