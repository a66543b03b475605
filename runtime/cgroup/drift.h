// Drift: a limit file that something else changed. What is drift, what to
// write against it, and when: decisions only, no I/O.
//
// Pure but for FilePace, which is not synchronised.

#ifndef PINION_RUNTIME_CGROUP_DRIFT_H_
#define PINION_RUNTIME_CGROUP_DRIFT_H_

#include <chrono>
#include <string>
#include <vector>

namespace pinion::cgroup {

enum class DriftMode {
  kOff,
  kReport,  // log and count
  kRepair,  // write back, log and count
};

// Whether `actual` says what `should_be` does; both as read from the kernel.
// The order of lines does not count.
bool SameLimit(const std::string& should_be, const std::string& actual);

// What to write, one write(2) each, so that a file that reads `actual` reads
// `should_be`.
std::vector<std::string> RepairWrites(const std::string& file,
                                      const std::string& should_be,
                                      const std::string& actual);

enum class DriftStep {
  kNothing,  // it holds, or what is wrong was told before
  kTell,     // report only
  kRepair,
  kWait,  // repaired or told too often just now: look again in kRepairEvery
};

// How often one file is repaired and told of. Something that keeps writing
// gets the better of pinion for at most kRepairEvery at a time, and costs at
// most one repair, or one report, in that time.
class FilePace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr int kBurst = 8;
  static constexpr std::chrono::seconds kRepairEvery{1};

  // `same`: the file holds. Call once per look.
  DriftStep Judge(DriftMode mode, bool same, const std::string& actual,
                  Time now);

  // After a repair that failed: whether `error` is news.
  bool IsNews(const std::string& error);
  // After one that did not: every error is news again.
  void Repaired() { told_.clear(); }

 private:
  int left_ = kBurst;
  Time refilled_;
  std::string told_;
};

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_DRIFT_H_
