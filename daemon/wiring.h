// Everything that a running daemon consists of, built in order and taken down
// in reverse: locks, metrics, images, network, cgroups, runtime, CRI server.
//
// Not thread-safe: main owns it.

#ifndef PINION_DAEMON_WIRING_H_
#define PINION_DAEMON_WIRING_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/config.h"

namespace pinion::daemon {

class Daemon {
 public:
  // What is wrong with values that are each fine by themselves, and with
  // names of this machine's; starts nothing.
  static absl::Status Check(const Config& config);

  // Returns once the CRI socket is served. Errors are sentences for people.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const Config& config);

  // Pods go on running.
  virtual ~Daemon() = default;

  // Takes no new calls and gives those under way some seconds.
  // DeadlineExceeded: handlers still wait; the caller leaves by _exit.
  virtual absl::Status Stop() = 0;

  // What Status shows from now on.
  virtual void SetConfig(const Config& config) = 0;

  // "cgroupfs driver, macvlan on auto".
  virtual std::string Summary() const = 0;
};

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_WIRING_H_
