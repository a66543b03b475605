#include "runtime/cgroup/drift.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "runtime/cgroup/limit_files.h"
#include "runtime/cgroup/limit_table.h"

namespace pinion::cgroup {
namespace {

std::set<std::string> LinesOf(const std::string& text) {
  std::set<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::string_view stripped = absl::StripAsciiWhitespace(line);
    if (!stripped.empty()) lines.emplace(stripped);
  }
  return lines;
}

}  // namespace

bool SameLimit(const std::string& should_be, const std::string& actual) {
  return should_be == actual || LinesOf(should_be) == LinesOf(actual);
}

std::vector<std::string> RepairWrites(const std::string& file,
                                      const std::string& should_be,
                                      const std::string& actual) {
  if (!IsKeyedFile(file)) return UndoWrites(file, should_be, actual);
  // First the keys that are too many or differ, then those that are missing.
  const std::set<std::string> wanted = LinesOf(should_be);
  std::vector<std::string> writes;
  for (const std::string& line : LinesOf(actual)) {
    if (wanted.count(line) != 0) continue;
    for (std::string& write : UndoWrites(file, should_be, line)) {
      writes.push_back(std::move(write));
    }
  }
  const std::set<std::string> there = LinesOf(actual);
  for (const std::string& line : wanted) {
    if (there.count(line) == 0 &&
        std::find(writes.begin(), writes.end(), line) == writes.end()) {
      writes.push_back(line);
    }
  }
  return writes;
}

DriftStep FilePace::Judge(DriftMode mode, bool same, const std::string& actual,
                          Time now) {
  if (same) told_.clear();
  if (same || mode == DriftMode::kOff) return DriftStep::kNothing;
  // The text of a file ends with a newline, so it is never empty.
  const bool report = mode == DriftMode::kReport;
  if (report && told_ == actual) return DriftStep::kNothing;
  const auto refill =
      std::chrono::duration_cast<std::chrono::seconds>(now - refilled_) /
      kRepairEvery;
  if (refill > 0) {
    left_ = static_cast<int>(
        std::min<std::chrono::seconds::rep>(kBurst, left_ + refill));
    refilled_ = now;
  }
  if (left_ == 0) return DriftStep::kWait;
  --left_;
  if (!report) return DriftStep::kRepair;
  told_ = actual;
  return DriftStep::kTell;
}

bool FilePace::IsNews(const std::string& error) {
  if (told_ == error) return false;
  told_ = error;
  return true;
}

}  // namespace pinion::cgroup
