// The records of pods and containers in state.db.
//
// Written before the first side effect of an operation, so that a crash at
// any line leaves something recovery can finish or undo (docs/recovery.md).
// Not synced to the disk: no pod survives a power cut anyway.
//
// Thread-safe.

#ifndef PINION_RUNTIME_RECORDS_H_
#define PINION_RUNTIME_RECORDS_H_

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "os/sqlite.h"
#include "state.pb.h"

namespace pinion::runtime {

class Records {
 public:
  static constexpr std::chrono::seconds kTryAgain{1};

  static absl::StatusOr<std::unique_ptr<Records>> Open(const std::string& path);
  // Writes what SaveLater still holds.
  ~Records();

  // Rows that cannot be parsed are moved to a quarantine table and reported
  // in `damaged`; the rest is served.
  absl::Status Load(std::vector<state::PodRecord>* pods,
                    std::vector<state::ContainerRecord>* containers,
                    std::vector<std::string>* damaged);

  absl::Status Save(const state::PodRecord& pod);
  absl::Status Save(const state::ContainerRecord& container);

  // From the records' own thread, soon, and only if the row still exists and
  // is older: for callers that must not block (the reactor), of changes that
  // recovery can also find out from the monitor. Tried again, each kTryAgain,
  // if the disk is full.
  void SaveLater(std::shared_ptr<const state::ContainerRecord> container);

  absl::Status DeletePod(const std::string& id);
  absl::Status DeleteContainer(const std::string& id);

 private:
  explicit Records(std::unique_ptr<os::Database> db);
  using Batch =
      std::map<std::string, std::shared_ptr<const state::ContainerRecord>>;

  void WriteLoop() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status WriteBatch(const Batch& batch);

  const std::unique_ptr<os::Database> db_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Batch queue_ ABSL_GUARDED_BY(mutex_);
  std::thread writer_;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_RECORDS_H_
