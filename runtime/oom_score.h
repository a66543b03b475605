// oom_score_adj (proc(5)) of all processes of a container, all or nothing.
//
// Not thread-safe: belongs to one operation. Its destructor sets back what was
// not committed.

#ifndef PINION_RUNTIME_OOM_SCORE_H_
#define PINION_RUNTIME_OOM_SCORE_H_

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

  // Of every process in the cgroup `dir` and below. What is forked meanwhile
  // has its parent's value. PermissionDenied: lower than the container was
  // given, without CAP_SYS_RESOURCE.
  absl::Status Apply(int dir, int score);
  void Commit() { done_.clear(); }

 private:
  // Files that were changed, with what they held.
  std::vector<std::pair<os::UniqueFd, std::string>> done_;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_OOM_SCORE_H_
