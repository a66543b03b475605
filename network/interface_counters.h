// What went through the interfaces of a network namespace.
//
// Read from /proc/PID/net/dev of a process inside (the pod's monitor), because
// that takes neither a descriptor per pod nor the lock of rtnetlink, behind
// which a dump would wait for pods that start and end.
//
// Thread-safe.

#ifndef PINION_NETWORK_INTERFACE_COUNTERS_H_
#define PINION_NETWORK_INTERFACE_COUNTERS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::network {

struct InterfaceCounters {
  std::string name;
  uint64_t rx_bytes = 0;
  uint64_t rx_packets = 0;
  uint64_t rx_errors = 0;
  uint64_t rx_dropped = 0;
  uint64_t tx_bytes = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_errors = 0;
  uint64_t tx_dropped = 0;
};

// The text of /proc/net/dev (proc(5)) but its loopback, in the kernel's order.
// Lines that are not of its form are left out. Pure.
std::vector<InterfaceCounters> ParseNetDev(std::string_view text);

// Of the namespace in which the process with this pid and start time lives.
// NotFound: it is gone (also if another process has its pid now).
absl::StatusOr<std::vector<InterfaceCounters>> ReadInterfaceCounters(
    pid_t pid, uint64_t start_ticks);

}  // namespace pinion::network

#endif  // PINION_NETWORK_INTERFACE_COUNTERS_H_
