#include "runtime/exec_table.h"

#include <sys/eventfd.h>

#include <utility>

#include "os/error.h"

namespace pinion::runtime {

std::optional<absl::StatusOr<monitor::ExitRecord>> ExecTable::Entry::Outcome()
    const {
  const absl::MutexLock lock(&mutex_);
  return outcome_;
}

void ExecTable::Entry::Set(absl::StatusOr<monitor::ExitRecord> outcome) {
  {
    const absl::MutexLock lock(&mutex_);
    if (outcome_.has_value()) return;
    outcome_ = std::move(outcome);
  }
  const uint64_t one = 1;
  (void)!write(eventfd_.get(), &one, sizeof(one));
}

absl::StatusOr<std::shared_ptr<ExecTable::Entry>> ExecTable::Add(
    const std::string& exec_id, const std::string& pod_id) {
  os::UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return os::ErrnoStatus("eventfd");
  auto entry = std::make_shared<Entry>(std::move(fd));
  const absl::MutexLock lock(&mutex_);
  rows_[exec_id] = {pod_id, entry};
  return entry;
}

void ExecTable::Remove(const std::string& exec_id) {
  const absl::MutexLock lock(&mutex_);
  rows_.erase(exec_id);
}

bool ExecTable::Ended(const monitor::ExitRecord& record) {
  std::shared_ptr<Entry> entry;
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = rows_.find(record.id);
    if (found == rows_.end()) return false;
    entry = found->second.entry;
  }
  entry->Set(record);
  return true;
}

void ExecTable::PodLost(const std::string& pod_id) {
  const absl::MutexLock lock(&mutex_);
  for (auto& [id, row] : rows_) {
    if (row.pod_id == pod_id) {
      row.entry->Set(absl::UnavailableError(
          "the pod's monitor died while the exec was running"));
    }
  }
}

}  // namespace pinion::runtime
