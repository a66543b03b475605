// `pinionctl top`: what pods and containers use, from two of the daemon's
// answers; and how it looks.
//
// Pure functions. What nobody counted, or what takes two samples to know and
// has one, is absent: "-" for people, null in JSON.

#ifndef PINION_TOOLS_TOP_H_
#define PINION_TOOLS_TOP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "admin.pb.h"
#include "tools/terminal.h"

namespace pinion::tools {

// Percent of the last ten seconds in which some, or all, tasks waited.
struct PressureShare {
  std::optional<double> some;
  std::optional<double> full;
};

// A pod or a container.
struct TopRow {
  std::string id;
  std::string namespace_name;  // of a pod
  std::string name;
  // Of one CPU: 250 are two and a half.
  std::optional<double> cpu_percent;
  std::optional<double> cpu_limit_percent;
  // Of the periods of the CPU limit, those in which it was reached.
  std::optional<double> throttled_percent;
  std::optional<uint64_t> memory_bytes;
  std::optional<uint64_t> memory_high_bytes;
  std::optional<uint64_t> memory_max_bytes;
  std::optional<uint64_t> swap_bytes;
  PressureShare cpu_pressure;
  PressureShare memory_pressure;
  PressureShare io_pressure;
  // Threads; processes where there is no pids controller.
  std::optional<uint64_t> pids;
  std::optional<uint64_t> pids_max;
  std::optional<uint64_t> oom_kills;
  std::vector<TopRow> containers;
};

struct TopSample {
  // Between the two answers; 0: there is only one.
  double seconds = 0;
  std::vector<TopRow> pods;
};

// The pods of `after`. A pod's limits are its own, else the sum of its
// containers' if each has one; its throttling, where it has no CPU limit of its
// own, is that of the container that has most of it.
TopSample CompareUsage(const admin::v1::PodUsageResponse& before,
                       const admin::v1::PodUsageResponse& after);

enum class TopSort { kCpu, kMemory, kThrottled, kPressure, kPids, kName };
// "cpu", "memory", …; InvalidArgument lists them.
absl::StatusOr<TopSort> ParseTopSort(std::string_view text);
const char* TopSortName(TopSort sort);
TopSort NextTopSort(TopSort sort);

// The greatest first; what is absent last; the same by name.
void SortTop(TopSort sort, std::vector<TopRow>& rows);

struct TopView {
  TopSort sort = TopSort::kCpu;
  bool containers = false;
  // Lines to fill; 0: as many as there are.
  size_t lines = 0;
  // Below the table, cut to the width: keys, or an error.
  std::string note = {};
};

// A table no wider than the terminal (names are cut in the middle), a heading
// above it. Columns of limits and kills show only where there are some.
std::string RenderTop(TopSample sample, const TopView& view,
                      const Terminal& terminal);

// Sorted as the view says, always with containers.
std::string TopJson(TopSample sample, TopSort sort);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_TOP_H_
