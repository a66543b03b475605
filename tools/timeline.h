// `pinionctl timeline POD`: the phases of a pod's start as bars.
//
// Pure functions.

#ifndef PINION_TOOLS_TIMELINE_H_
#define PINION_TOOLS_TIMELINE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tools/terminal.h"

namespace pinion::tools {

struct TimelinePhase {
  std::string object;  // "pod" or a container's name
  std::string name;
  int64_t start_ns = 0;
  int64_t duration_ns = 0;
};

struct Timeline {
  std::string pod_id;
  std::string title;  // "namespace/name"
  std::vector<TimelinePhase> phases;
};

// One chart per object, and one more wherever nothing happened for longer
// than what the chart shows: a container that starts a minute after its pod
// would leave nothing but a dot of either.
std::string RenderTimeline(const Timeline& timeline, const Terminal& terminal);

std::string TimelineJson(const Timeline& timeline);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_TIMELINE_H_
