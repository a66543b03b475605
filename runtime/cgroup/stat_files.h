// What the statistics files of a cgroup say: text to numbers, one function per
// kind of file, no I/O.
//
// Pure and thread-safe. Sources: Documentation/admin-guide/cgroup-v2.rst and
// Documentation/accounting/psi.rst. A key that a kernel does not have, or a
// number that is none, is absent, never zero: callers must not show what
// nobody counted. Times are microseconds and sizes bytes, as in the files.

#ifndef PINION_RUNTIME_CGROUP_STAT_FILES_H_
#define PINION_RUNTIME_CGROUP_STAT_FILES_H_

#include <sys/types.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pinion::cgroup {

using OptionalCount = std::optional<uint64_t>;

// "max" where a number could stand.
inline constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// memory.current, pids.max and the like: one number, or "max".
OptionalCount ParseCount(std::string_view text);

// cpu.stat. The last three exist with the cpu controller only.
struct CpuStat {
  OptionalCount usage_us;
  OptionalCount user_us;
  OptionalCount system_us;
  OptionalCount periods;
  OptionalCount throttled_periods;
  OptionalCount throttled_us;
};
CpuStat ParseCpuStat(std::string_view text);

// cpu.max: "max 100000". `quota_us` may be kNoLimit.
struct CpuMax {
  OptionalCount quota_us;
  OptionalCount period_us;
};
CpuMax ParseCpuMax(std::string_view text);

// memory.stat, of the cgroup with everything below it.
struct MemoryStat {
  OptionalCount anon;
  OptionalCount file;
  OptionalCount kernel;  // since Linux 5.18
  OptionalCount file_mapped;
  OptionalCount inactive_file;
  OptionalCount page_faults;
  OptionalCount major_page_faults;
};
MemoryStat ParseMemoryStat(std::string_view text);

// memory.events.
struct MemoryEvents {
  OptionalCount high;  // how often memory.high made somebody wait
  OptionalCount max;   // how often the limit was hit
  OptionalCount oom_kills;
};
MemoryEvents ParseMemoryEvents(std::string_view text);

// One line of io.stat. Lines without a device or without counters (kernels
// before 5.13 print such) are left out.
struct IoDevice {
  uint32_t major = 0;
  uint32_t minor = 0;
  OptionalCount read_bytes;
  OptionalCount written_bytes;
  OptionalCount discarded_bytes;
  OptionalCount reads;
  OptionalCount writes;
};
std::vector<IoDevice> ParseIoStat(std::string_view text);

// cpu.pressure, memory.pressure, io.pressure: shares of the last 10, 60 and
// 300 seconds in percent, and the total time.
struct Stall {
  double avg10 = 0;
  double avg60 = 0;
  double avg300 = 0;
  uint64_t total_us = 0;
};
struct Pressure {
  std::optional<Stall> some;
  std::optional<Stall> full;  // of the cpu since Linux 5.13
};
Pressure ParsePressure(std::string_view text);

// cgroup.procs. 0 stands for a process of another PID namespace: left out.
std::vector<pid_t> ParsePids(std::string_view text);

// "2MB" of "hugetlb.2MB.current"; empty for any other name.
std::string HugePageSizeOf(std::string_view file);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_STAT_FILES_H_
