// What the daemon asks of the kernel and the C library for itself, before its
// threads start.

#ifndef PINION_DAEMON_PROCESS_SETUP_H_
#define PINION_DAEMON_PROCESS_SETUP_H_

#include "absl/status/status.h"
#include "base/cpu_set.h"

namespace pinion::daemon {

// Standard streams that were closed become /dev/null: else the first sockets
// would get their numbers, and log lines would be written to a client. To print
// to such a standard output stays an error (EBADF).
void OpenStandardStreams();

// Few malloc arenas and memory that goes back to the kernel: the daemon has
// many short-lived threads, and 64 MiB of address space each would add up in
// resident pages (mallopt(3)).
void TuneMalloc();

// Raises RLIMIT_NOFILE as far as it goes: a pod costs three descriptors.
void RaiseFileLimit();

// Keeps this process, and the monitors that it will start, on these CPUs
// (sched_setaffinity(2)); before there are threads. InvalidArgument: none of
// them is online.
absl::Status StayOnCpus(const CpuSet& cpus);

// oom_score_adj -999: the kernel shall take any other process first. Without
// CAP_SYS_RESOURCE that is refused, which is a warning (pinionctl doctor
// explains it).
void ProtectFromOomKiller();

}  // namespace pinion::daemon

#endif  // PINION_DAEMON_PROCESS_SETUP_H_
