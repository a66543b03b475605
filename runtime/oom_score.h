// oom_score_adj (proc(5)) of all processes of a container, all or nothing.
//
// Not thread-safe: belongs to one operation. Its destructor sets back what was
// not committed.

#ifndef PINION_RUNTIME_OOM_SCORE_H_
#define PINION_RUNTIME_OOM_SCORE_H_

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "os/unique_fd.h"

namespace pinion::runtime {

class OomScoreChange {
 public:
  OomScoreChange() = default;
  ~OomScoreChange();
  OomScoreChange(const OomScoreChange&) = delete;
  OomScoreChange& operator=(const OomScoreChange&) = delete;

  // Of every process in the cgroup `dir` and below, and of what they fork
  // meanwhile: looks again until nobody new is there, eight times at most (a
  // container that forks faster keeps the old value for some).
  // PermissionDenied: lower than the container was given, without
  // CAP_SYS_RESOURCE.
  absl::Status Apply(int dir, int score);
  void Commit() { done_.clear(); }

 private:
  absl::Status ApplyTo(pid_t pid, const std::string& wanted);

  // Files that were changed, with what they held.
  std::vector<std::pair<os::UniqueFd, std::string>> done_;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_OOM_SCORE_H_
