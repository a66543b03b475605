// Which files of a cgroup v2 directory hold limits, and what each takes. What
// is not in the table is no setting: statistics, triggers, the files of the
// cgroup core, and whatever a newer kernel has.
//
// Pure; thread-safe. Source: Documentation/admin-guide/cgroup-v2.rst.

#ifndef PINION_RUNTIME_CGROUP_LIMIT_TABLE_H_
#define PINION_RUNTIME_CGROUP_LIMIT_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace pinion::cgroup {

// "memory.high", "hugetlb.2MB.max": a name in the container's own directory,
// never a path.
bool IsLimitFile(const std::string& file);
// Those whose names are known beforehand: hugetlb has a size in them.
std::vector<std::string> LimitFilesByName();

// InvalidArgument, with the file's name and what would be right, if there is
// no such limit or it never takes `value`. What depends on the machine (a
// device, a CPU) is left to the kernel.
absl::Status CheckLimit(const std::string& file, const std::string& value);

// Files that count memory, which the kernel rounds down to pages.
bool IsByteCount(const std::string& file);

// For keyed files ("8:0 rbps=1 wbps=max"): one line per device or resource.
bool IsKeyedFile(const std::string& file);

// Files that the kernel changes along with `file`: other faces of the same
// thing (cpu.weight.nice), or what goes with it (cpu.weight reads 0 while
// cpu.idle is 1).
std::vector<std::string> ChangesWith(const std::string& file);

// "80M" or "max" (UINT64_MAX), as the kernel's page_counter_memparse().
std::optional<uint64_t> ParseBytes(const std::string& text);

// "2MB", "1GB", "64KB", as the CRI and the kernel's file names have it.
bool IsPageSize(const std::string& size);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_LIMIT_TABLE_H_
