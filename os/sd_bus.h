// One persistent, pipelined connection to systemd's manager over D-Bus.
//
// Calls of many threads are written at once and answered in any order; each
// caller waits for its own. A unit's call is over when its job is: systemd
// says so by the signal JobRemoved. What is in flight when the connection or
// systemd itself is lost (dbus restarted, daemon-reexec) is sent again after
// the reconnection, and converges: a unit that exists by then is looked at
// instead of being an error. A job that nothing is heard of is asked for, so
// that a lost signal costs a second, among 270 other jobs some twenty, and not
// the deadline; while systemd tells of other jobs' ends it is only busy, and is
// asked less, for asking is what would keep it busy. A conflict with a job that
// is under way ("slice is being stopped") is waited out.
//
// Thread-safe. One thread of its own talks to the bus; no caller's lock is
// taken on it. Interfaces: org.freedesktop.systemd1(5).

#ifndef PINION_OS_SD_BUS_H_
#define PINION_OS_SD_BUS_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pinion::os {

// A property of a unit, as systemd.unit(5) and its D-Bus API name it. The
// alternatives are D-Bus' b, t, s and au.
struct UnitProperty {
  std::string name;
  std::variant<bool, uint64_t, std::string, std::vector<uint32_t>> value;
};

class SystemdBus {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  struct Address {
    // D-Bus address: "unix:path=/run/dbus/system_bus_socket".
    std::string address;
    // A message bus; otherwise systemd itself is at the other end.
    bool is_bus = true;
  };
  struct Options {
    // Tried in this order at every connection. First systemd's own socket
    // (what systemctl uses for root): one hop less, and no outage while dbus
    // restarts; the bus where that is not to be had.
    std::vector<Address> addresses = {
        {"unix:path=/run/systemd/private", false},
        {"unix:path=/run/dbus/system_bus_socket", true}};
    // How long a job may be silent before its unit is looked at.
    std::chrono::milliseconds check_interval{1000};
  };
  static Options DefaultOptions() { return {}; }

  // Unavailable if no address answers now; later losses are mended.
  static absl::StatusOr<std::unique_ptr<SystemdBus>> Create(
      const Options& options = DefaultOptions());
  virtual ~SystemdBus() = default;

  // Makes and starts a transient unit, and waits until its job is done. A
  // unit of this name that is active already is success; one that failed
  // before is made anew. DeadlineExceeded names what was waited for.
  virtual absl::Status StartTransientUnit(
      const std::string& name, const std::vector<UnitProperty>& properties,
      Deadline deadline) = 0;

  // Stops a unit and waits until its job is done. Missing is success.
  virtual absl::Status StopUnit(const std::string& name, Deadline deadline) = 0;

  // Sees to it, behind the caller's back, that a unit whose start was given up
  // does not start later: takes its job back and stops it, as soon as systemd
  // answers. Without it a start that ran out of time stays in systemd's queue,
  // with the id of a process that may be another one by then. Tried for ten
  // minutes, or as long as this object lives, and for the latest 1,024 units
  // that were given up. Does not wait.
  virtual void AbandonUnit(const std::string& name) = 0;

  // Forgets a unit's failure. Missing is success.
  virtual absl::Status ResetFailedUnit(const std::string& name,
                                       Deadline deadline) = 0;

  // Changes properties of a unit, until the machine is rebooted or the unit is
  // gone; they are in force at once. Missing is success.
  virtual absl::Status SetUnitProperties(
      const std::string& name, const std::vector<UnitProperty>& properties,
      Deadline deadline) = 0;

  // Connections made so far, for metrics and tests: 1 after Create.
  virtual uint64_t connections() const = 0;
};

}  // namespace pinion::os

#endif  // PINION_OS_SD_BUS_H_
