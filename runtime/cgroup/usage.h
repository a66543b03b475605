// What a cgroup and everything below it uses, read from its files.
//
// Thread-safe. `dir` is a directory's descriptor (OpenCgroup), so that a
// reading costs one path look-up and not one per file; no descriptor is held
// between readings (270 pods would need thousands). A file that is missing (no
// controller, an older kernel, PSI off) leaves its members absent, and so does
// a cgroup that is removed meanwhile. Errors: what else the kernel answers.

#ifndef PINION_RUNTIME_CGROUP_USAGE_H_
#define PINION_RUNTIME_CGROUP_USAGE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/cgroup/stat_files.h"

namespace pinion::cgroup {

// What the kubelet asks for every few seconds.
struct Usage {
  CpuStat cpu;
  std::optional<Pressure> cpu_pressure;
  std::optional<Pressure> memory_pressure;
  std::optional<Pressure> io_pressure;
  OptionalCount memory_current;
  OptionalCount memory_max;  // kNoLimit
  MemoryStat memory;
  OptionalCount swap_current;
  OptionalCount swap_max;  // kNoLimit
  // All processes, not threads; the pids of those directly in `dir` or below.
  std::vector<pid_t> processes;
};
absl::StatusOr<Usage> ReadUsage(int dir);

// What only the metrics ask for.
struct HugePages {
  std::string page_size;  // "2MB"
  uint64_t current = 0;
};
struct Details {
  OptionalCount memory_peak;  // since Linux 5.19
  OptionalCount memory_low;
  OptionalCount memory_high;  // kNoLimit
  MemoryEvents memory_events;
  std::vector<IoDevice> io;
  std::vector<HugePages> huge_pages;
  OptionalCount threads;      // pids.current
  OptionalCount threads_max;  // pids.max
  CpuMax cpu_max;
  OptionalCount cpu_weight;
};
absl::StatusOr<Details> ReadDetails(int dir);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_USAGE_H_
