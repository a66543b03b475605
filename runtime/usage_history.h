// What is remembered between two measurements of one pod or container.
//
// Thread-safe.

#ifndef PINION_RUNTIME_USAGE_HISTORY_H_
#define PINION_RUNTIME_USAGE_HISTORY_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "runtime/usage.h"

namespace pinion::runtime {

class UsageHistory {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Takes the CPU time used until `now`. Billionths of a CPU in use since the
  // measurement that the last rate counted to, if that is at least a second
  // ago, else the last rate again: clients that ask at the same moment get
  // the same answer, not noise. nullopt while there is no rate yet.
  std::optional<uint64_t> Rate(Time now, uint64_t cpu_ns)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The last measurement of the writable layer, if it is still good: walking
  // a tree of files is dear, so it is done every ten seconds (the kubelet's
  // own period) and takes at most a fiftieth of the time.
  std::optional<WritableLayer> Writable(Time now) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // A measurement that began at `began` and is done `now`.
  void SetWritable(Time began, Time now, const WritableLayer& usage)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The highest of the values given for this page size.
  uint64_t HugePagePeak(const std::string& page_size, uint64_t bytes)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  std::optional<Time> sampled_ ABSL_GUARDED_BY(mutex_);
  uint64_t cpu_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<uint64_t> rate_ ABSL_GUARDED_BY(mutex_);
  Time good_until_ ABSL_GUARDED_BY(mutex_);
  std::optional<WritableLayer> writable_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> peaks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_USAGE_HISTORY_H_
