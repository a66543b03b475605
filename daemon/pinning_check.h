// Whether this machine can do what [cpu] asks for.
//
// Thread-safe.

#ifndef PINION_DAEMON_PINNING_CHECK_H_
#define PINION_DAEMON_PINNING_CHECK_H_

#include "absl/status/status.h"
#include "daemon/config.h"

namespace pinion::daemon {

// FailedPrecondition, with what to do: no cpuset controller (unless
// cgroup.missing_controllers = "ignore"), or reserved CPUs that do not exist or
// are all there are. OK with cpu.policy = "none".
absl::Status CheckPinning(const Config& config);

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_PINNING_CHECK_H_
