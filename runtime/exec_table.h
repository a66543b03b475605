// Execs under way, and how the reactor tells them that their process ended.
//
// Thread-safe.

#ifndef PINION_RUNTIME_EXEC_TABLE_H_
#define PINION_RUNTIME_EXEC_TABLE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "os/unique_fd.h"
#include "runtime/monitor/client.h"

namespace pinion::runtime {

class ExecTable {
 public:
  // One exec: `ended_fd` becomes readable when the outcome is known, so that
  // it can be polled beside the exec's pipes.
  class Entry {
   public:
    explicit Entry(os::UniqueFd eventfd) : eventfd_(std::move(eventfd)) {}
    int ended_fd() const { return eventfd_.get(); }
    // nullopt before the end; Unavailable if the monitor was lost.
    std::optional<absl::StatusOr<monitor::ExitRecord>> Outcome() const;

   private:
    friend class ExecTable;
    void Set(absl::StatusOr<monitor::ExitRecord> outcome);

    const os::UniqueFd eventfd_;
    mutable absl::Mutex mutex_;
    std::optional<absl::StatusOr<monitor::ExitRecord>> outcome_
        ABSL_GUARDED_BY(mutex_);
  };

  absl::StatusOr<std::shared_ptr<Entry>> Add(const std::string& exec_id,
                                             const std::string& pod_id);
  void Remove(const std::string& exec_id);

  // False if the id is no exec of ours.
  bool Ended(const monitor::ExitRecord& record);
  // Every exec of the pod fails: its monitor is gone.
  void PodLost(const std::string& pod_id);

 private:
  struct Row {
    std::string pod_id;
    std::shared_ptr<Entry> entry;
  };
  absl::Mutex mutex_;
  std::map<std::string, Row> rows_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_EXEC_TABLE_H_
