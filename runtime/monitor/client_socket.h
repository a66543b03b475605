// monitor.sock in a pod's directory. The directory's descriptor keeps the
// address short (sun_path has 108 bytes): /proc/self/fd/<n>/monitor.sock.
//
// Thread-safe.

#ifndef PINION_RUNTIME_MONITOR_CLIENT_SOCKET_H_
#define PINION_RUNTIME_MONITOR_CLIENT_SOCKET_H_

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::monitor {

// Listens, in the place of whatever is there; mode 0600, non-blocking.
absl::StatusOr<os::UniqueFd> ListenForMonitor(int pod_dir_fd);

// Unavailable if nobody listens there; DeadlineExceeded if whoever does has
// not accepted connections for long.
absl::StatusOr<os::UniqueFd> ConnectToMonitor(int pod_dir_fd);

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_CLIENT_SOCKET_H_
