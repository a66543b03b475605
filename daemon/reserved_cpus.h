// Whether cpu.reserved fits this machine: decided by what is plugged in, so
// that a daemon which has started once starts again though CPUs go offline, but
// not if all of these do.
//
// Pure but for PresentCpus, which reads sysfs; thread-safe.

#ifndef PINION_DAEMON_RESERVED_CPUS_H_
#define PINION_DAEMON_RESERVED_CPUS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/cpu_set.h"

namespace pinion::daemon {

struct ReservedProblem {
  std::string text;    // "cpu.reserved = \"0,9\" names CPUs that …"
  std::string remedy;  // "name some of …"
};

// Those that the machine has, on- or offline, from `sysfs`
// (/sys/devices/system).
absl::StatusOr<CpuSet> PresentCpus(const std::string& sysfs);

// Nothing: they are among `present`, and leave some to be given away.
std::optional<ReservedProblem> FindReservedProblem(const CpuSet& reserved,
                                                   const CpuSet& present);

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_RESERVED_CPUS_H_
