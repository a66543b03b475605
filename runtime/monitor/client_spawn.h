// Starts a monitor and sees to it that it never stays a zombie.

#ifndef PINION_RUNTIME_MONITOR_CLIENT_SPAWN_H_
#define PINION_RUNTIME_MONITOR_CLIENT_SPAWN_H_

#include <memory>

#include "absl/status/statusor.h"
#include "os/reactor.h"
#include "os/unique_fd.h"
#include "runtime/monitor/client.h"

namespace pinion::monitor {

struct SpawnedMonitor {
  pid_t pid = -1;
  // Also held by the reactor, which reaps it.
  std::shared_ptr<os::UniqueFd> pidfd;

  void Kill() const;
};

// Reaps the child when it ends, as long as the reactor runs.
absl::Status ReapWhenEnded(const SpawnedMonitor& child, os::Reactor& reactor);

absl::StatusOr<SpawnedMonitor> SpawnMonitor(
    const MonitorClient::SpawnOptions& options, os::Reactor& reactor);

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_CLIENT_SPAWN_H_
