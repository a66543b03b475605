// CRI resources as cgroup v2 files: pure conversion, no I/O.
//
// Thread-safe. Sources: Documentation/admin-guide/cgroup-v2.rst; the CRI's
// LinuxContainerResources; Kubernetes KEP 2254 for cpu.weight. Unset (zero,
// empty) yields no file, so that "unset" is never written as zero.

#ifndef PINION_RUNTIME_CGROUP_LIMIT_FILES_H_
#define PINION_RUNTIME_CGROUP_LIMIT_FILES_H_

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "state.pb.h"

namespace pinion::cgroup {

// One file and what it shall hold.
struct Setting {
  std::string file;
  // As written. Of cpu.max a leading "-" stands for the quota that is in
  // force (only the period was given).
  std::string value;

  bool operator==(const Setting&) const = default;
};

// In the order in which they are applied: cpuset first (memory is allocated
// where it says), then cpu, memory, swap, huge pages, and the `unified` map
// last; a file in `unified` (limit_table.h) replaces the converted one, and
// cpu.weight.nice replaces cpu.weight. cpu.idle comes before everything: with 1
// there is no weight.
// InvalidArgument if a number, a list, a file's name or its value is malformed.
absl::StatusOr<std::vector<Setting>> ToSettings(
    const state::Resources& resources);

// The files that an update by `changes` writes, where `before` is in force and
// `after` is what becomes of both (all of them valid): those that change, those
// that it names, and what changes with them. Not the rest: something else may
// have changed it, and the update is not to fail for that. The same memory.max
// again counts as the rest, for a kubelet that resizes CPUs names it, too.
std::set<std::string> TouchedFiles(const state::Resources& before,
                                   const state::Resources& changes,
                                   const state::Resources& after);

// 1 + ((shares - 2) * 9999) / 262142, shares clamped to 2 … 262144.
int64_t CpuWeightFromShares(int64_t shares);

// "memory" for "memory.max".
std::string ControllerOf(const std::string& file);

// Whether a file that reads `actual` holds `wanted`: byte counts are rounded
// down by the kernel to whole (huge) pages, lists are normalised, files keyed
// by device hold more lines than were written.
bool Holds(const std::string& file, const std::string& wanted,
           const std::string& actual);

// What to write, one write(2) each, so that `file` holds `old` again after
// `wanted` was written to it.
std::vector<std::string> UndoWrites(const std::string& file,
                                    const std::string& old,
                                    const std::string& wanted);

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_LIMIT_FILES_H_
