#include "tools/timeline.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/id.h"

namespace pinion::tools {
namespace {

// Phases of one object without a long pause between them.
struct Stretch {
  std::string object;
  std::vector<TimelinePhase> phases;
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  // Since the end of the object's stretch before; 0 for its first.
  int64_t pause_ns = 0;
};

int64_t End(const TimelinePhase& phase) {
  return phase.start_ns + phase.duration_ns;
}

std::vector<Stretch> Split(const Timeline& timeline) {
  std::vector<std::string> objects;
  for (const TimelinePhase& phase : timeline.phases) {
    if (std::find(objects.begin(), objects.end(), phase.object) ==
        objects.end()) {
      objects.push_back(phase.object);
    }
  }
  std::vector<Stretch> stretches;
  for (const std::string& object : objects) {
    std::vector<TimelinePhase> phases;
    std::copy_if(timeline.phases.begin(), timeline.phases.end(),
                 std::back_inserter(phases),
                 [&](const auto& phase) { return phase.object == object; });
    std::stable_sort(
        phases.begin(), phases.end(),
        [](const auto& a, const auto& b) { return a.start_ns < b.start_ns; });
    bool first = true;
    for (const TimelinePhase& phase : phases) {
      Stretch* current = first ? nullptr : &stretches.back();
      if (current == nullptr || phase.start_ns - current->end_ns >
                                    current->end_ns - current->start_ns) {
        const int64_t pause =
            current == nullptr ? 0 : phase.start_ns - current->end_ns;
        stretches.push_back(
            {object, {phase}, phase.start_ns, End(phase), pause});
      } else {
        current->phases.push_back(phase);
        current->end_ns = std::max(current->end_ns, End(phase));
      }
      first = false;
    }
  }
  return stretches;
}

}  // namespace

std::string RenderTimeline(const Timeline& timeline, const Terminal& terminal) {
  std::string result =
      absl::StrCat(terminal.Paint(Style::kBold, timeline.title), "  ",
                   terminal.Paint(Style::kDim, ShortId(timeline.pod_id)), "\n");
  if (timeline.phases.empty()) {
    return absl::StrCat(result, "no phases were recorded\n");
  }
  size_t name_width = 0;
  for (const TimelinePhase& phase : timeline.phases) {
    name_width = std::max(name_width, DisplayWidth(phase.name));
  }
  // "  NAME  BAR  DURATION".
  constexpr size_t kDurationWidth = 9;
  const size_t around = 2 + name_width + 2 + 2 + kDurationWidth;
  const size_t bar_width =
      terminal.width > around + 20 ? terminal.width - around : 20;
  for (const Stretch& stretch : Split(timeline)) {
    const int64_t length =
        std::max<int64_t>(stretch.end_ns - stretch.start_ns, 1);
    const std::string later =
        stretch.pause_ns == 0
            ? ""
            : absl::StrCat(", ", FormatDuration(stretch.pause_ns), " later");
    absl::StrAppend(&result, "\n", terminal.Paint(Style::kBold, stretch.object),
                    later, ": ", FormatDuration(length), "\n");
    for (const TimelinePhase& phase : stretch.phases) {
      const auto at = [&](int64_t ns) {
        return static_cast<double>(ns - stretch.start_ns) /
               static_cast<double>(length);
      };
      const std::string bar =
          Bar(at(phase.start_ns), at(End(phase)), bar_width);
      absl::StrAppend(
          &result, "  ", PadRight(phase.name, name_width), "  ",
          terminal.Paint(Style::kCyan, PadRight(bar, bar_width)), "  ",
          PadLeft(FormatDuration(phase.duration_ns), kDurationWidth), "\n");
    }
  }
  return result;
}

std::string TimelineJson(const Timeline& timeline) {
  nlohmann::json phases = nlohmann::json::array();
  for (const TimelinePhase& phase : timeline.phases) {
    phases.push_back({{"object", phase.object},
                      {"name", phase.name},
                      {"start_ns", phase.start_ns},
                      {"duration_ns", phase.duration_ns}});
  }
  const nlohmann::json root = {
      {"pod_id", timeline.pod_id}, {"pod", timeline.title}, {"phases", phases}};
  return root.dump(2) + "\n";
}

}  // namespace pinion::tools
