#include "tests/support/fake_kernel.h"

#include <signal.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"

namespace pinion::testing_support {
namespace {

// "/pods/<pod>/<container>[/exec-<exec>]": whose process lives there.
std::string OwnerOf(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return absl::StartsWith(name, "exec-") ? name.substr(5) : name;
}

bool IsBelow(const std::string& path, const std::string& top) {
  return path == top || absl::StartsWith(path, top + "/");
}

}  // namespace

FakeKernel& FakeKernel::Get() {
  static FakeKernel* const kernel = new FakeKernel;
  return *kernel;
}

void FakeKernel::FailCall(int n, absl::Status status) {
  const absl::MutexLock lock(&mutex_);
  countdown_ = n;
  fault_ = std::move(status);
  happened_ = false;
}

bool FakeKernel::FaultHappened() const {
  const absl::MutexLock lock(&mutex_);
  return happened_;
}

absl::Status FakeKernel::Call() {
  const absl::MutexLock lock(&mutex_);
  if (countdown_ == 0 || --countdown_ > 0) return absl::OkStatus();
  happened_ = true;
  return fault_;
}

bool FakeKernel::EndProcess(const std::string& id, int exit_code) {
  const absl::MutexLock lock(&mutex_);
  if (running_.count(id) == 0) return false;
  EndLocked(id, exit_code, 0);
  return true;
}

void FakeKernel::EndLocked(const std::string& id, int exit_code, int signal) {
  if (running_.erase(id) == 0) return;
  for (auto& [pod_id, monitor] : monitors_) {
    const auto found = monitor.processes.find(id);
    if (found == monitor.processes.end()) continue;
    Process& process = found->second;
    process.running = false;
    process.exit.exit_code = exit_code;
    process.exit.signal = signal;
    process.exit.finished_at_ns = Clock::Real().WallNanos();
    TellLocked(pod_id);
  }
}

void FakeKernel::TellLocked(const std::string& pod_id) {
  const ConnectionPtr connection = monitors_[pod_id].connection;
  if (connection == nullptr) return;
  connection->reactor.Post(
      [this, pod_id, connection] { Deliver(pod_id, connection); });
}

void FakeKernel::Deliver(const std::string& pod_id,
                         const ConnectionPtr& connection) {
  const std::lock_guard<std::recursive_mutex> open(connection->mutex);
  if (connection->closed) return;
  std::vector<monitor::ExitRecord> ends;
  {
    const absl::MutexLock lock(&mutex_);
    const auto monitor = monitors_.find(pod_id);
    if (monitor == monitors_.end()) return;
    for (auto& [id, process] : monitor->second.processes) {
      if (process.running || process.told) continue;
      process.told = true;
      ends.push_back(process.exit);
    }
  }
  for (const monitor::ExitRecord& end : ends) {
    if (!connection->closed) connection->callbacks.on_exit(end);
  }
}

bool FakeKernel::LoseMonitor(const std::string& pod_id) {
  const absl::MutexLock lock(&mutex_);
  if (monitors_.count(pod_id) == 0) return false;
  LoseLocked(pod_id);
  return true;
}

void FakeKernel::LoseLocked(const std::string& pod_id) {
  const ConnectionPtr connection = monitors_[pod_id].connection;
  monitors_.erase(pod_id);
  if (connection == nullptr) return;
  connection->reactor.Post([connection] {
    const std::lock_guard<std::recursive_mutex> open(connection->mutex);
    if (!connection->closed) connection->callbacks.on_lost();
  });
}

std::set<std::string> FakeKernel::Monitors() const {
  const absl::MutexLock lock(&mutex_);
  std::set<std::string> ids;
  for (const auto& [id, monitor] : monitors_) ids.insert(id);
  return ids;
}

std::set<std::string> FakeKernel::PodCgroups() const {
  const absl::MutexLock lock(&mutex_);
  std::set<std::string> ids;
  for (const auto& [id, path] : pod_cgroups_) ids.insert(id);
  return ids;
}

std::set<std::string> FakeKernel::Leaves() const {
  const absl::MutexLock lock(&mutex_);
  std::set<std::string> ids;
  for (const std::string& path : paths_) {
    if (!absl::StrContains(path, "/exec-")) ids.insert(OwnerOf(path));
  }
  return ids;
}

std::set<std::string> FakeKernel::Running() const {
  const absl::MutexLock lock(&mutex_);
  return running_;
}

std::set<std::string> FakeKernel::Leases() const {
  const absl::MutexLock lock(&mutex_);
  return leases_;
}

absl::Status FakeKernel::CreateLeaf(const std::string& path) {
  const absl::MutexLock lock(&mutex_);
  const std::string parent = path.substr(0, path.rfind('/'));
  bool there = paths_.count(parent) != 0;
  for (const auto& [id, pod] : pod_cgroups_) there = there || pod == parent;
  if (!there) {
    return absl::NotFoundError(absl::StrCat("mkdir ", path, ": ENOENT"));
  }
  paths_.insert(path);
  return absl::OkStatus();
}

bool FakeKernel::HasPath(const std::string& path) const {
  const absl::MutexLock lock(&mutex_);
  return paths_.count(path) != 0;
}

bool FakeKernel::IsPopulated(const std::string& path) const {
  const absl::MutexLock lock(&mutex_);
  for (const std::string& each : paths_) {
    if (IsBelow(each, path) && running_.count(OwnerOf(each)) != 0) return true;
  }
  return false;
}

void FakeKernel::KillTree(const std::string& path) {
  const absl::MutexLock lock(&mutex_);
  for (const std::string& each : paths_) {
    if (IsBelow(each, path)) EndLocked(OwnerOf(each), 128 + SIGKILL, SIGKILL);
  }
}

void FakeKernel::RemoveTree(const std::string& path) {
  KillTree(path);
  const absl::MutexLock lock(&mutex_);
  for (auto each = paths_.begin(); each != paths_.end();) {
    each = IsBelow(*each, path) ? paths_.erase(each) : std::next(each);
  }
}

bool FakeKernel::RemoveEmpty(const std::string& path) {
  const absl::MutexLock lock(&mutex_);
  if (running_.count(OwnerOf(path)) != 0) return false;
  paths_.erase(path);
  return true;
}

absl::Status FakeKernel::CreatePodCgroup(const std::string& pod_id,
                                         const std::string& path) {
  const absl::MutexLock lock(&mutex_);
  pod_cgroups_[pod_id] = path;
  return absl::OkStatus();
}

void FakeKernel::RemovePodCgroup(const std::string& pod_id) {
  std::string path;
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = pod_cgroups_.find(pod_id);
    if (found == pod_cgroups_.end()) return;
    path = found->second;
    pod_cgroups_.erase(found);
    // The monitor lives in there.
    if (monitors_.count(pod_id) != 0) LoseLocked(pod_id);
  }
  RemoveTree(path);
}

bool FakeKernel::Attach(const std::string& pod_id) {
  const absl::MutexLock lock(&mutex_);
  return leases_.insert(pod_id).second;
}

void FakeKernel::Detach(const std::string& pod_id) {
  const absl::MutexLock lock(&mutex_);
  leases_.erase(pod_id);
}

void FakeKernel::KeepLeases(const std::set<std::string>& pod_ids) {
  const absl::MutexLock lock(&mutex_);
  for (auto lease = leases_.begin(); lease != leases_.end();) {
    lease =
        pod_ids.count(*lease) != 0 ? std::next(lease) : leases_.erase(lease);
  }
}

void FakeKernel::AddMonitor(const std::string& pod_id,
                            const ConnectionPtr& connection) {
  const absl::MutexLock lock(&mutex_);
  monitors_[pod_id].connection = connection;
}

void FakeKernel::Disconnect(const std::string& pod_id,
                            const ConnectionPtr& connection) {
  const absl::MutexLock lock(&mutex_);
  const auto found = monitors_.find(pod_id);
  if (found != monitors_.end() && found->second.connection == connection) {
    found->second.connection = nullptr;
  }
}

bool FakeKernel::Connect(const std::string& pod_id,
                         const ConnectionPtr& connection,
                         std::vector<monitor::ContainerReport>* reports) {
  const absl::MutexLock lock(&mutex_);
  const auto found = monitors_.find(pod_id);
  if (found == monitors_.end()) return false;
  found->second.connection = connection;
  for (const auto& [id, process] : found->second.processes) {
    monitor::ContainerReport report;
    report.id = id;
    report.ended = !process.running;
    report.exit = process.exit;
    report.started_at_ns = process.exit.error.empty() ? 1 : 0;
    if (reports != nullptr) reports->push_back(std::move(report));
  }
  TellLocked(pod_id);
  return true;
}

bool FakeKernel::HasMonitor(const std::string& pod_id) const {
  const absl::MutexLock lock(&mutex_);
  return monitors_.count(pod_id) != 0;
}

absl::Status FakeKernel::AddProcess(const std::string& pod_id,
                                    const std::string& id,
                                    const std::string& error) {
  const absl::MutexLock lock(&mutex_);
  const auto monitor = monitors_.find(pod_id);
  if (monitor == monitors_.end()) {
    return absl::UnavailableError("the pod monitor is gone");
  }
  const auto [at, added] = monitor->second.processes.try_emplace(id);
  if (!added) return absl::AlreadyExistsError(id);
  Process& process = at->second;
  process.exit.id = id;
  process.exit.error = error;
  process.running = error.empty();
  // A start that was answered with an error is not told again.
  process.told = !error.empty();
  if (process.running) {
    running_.insert(id);
  } else {
    process.exit.exit_code = 128;
  }
  return absl::OkStatus();
}

bool FakeKernel::Knows(const std::string& pod_id, const std::string& id) const {
  const absl::MutexLock lock(&mutex_);
  const auto monitor = monitors_.find(pod_id);
  return monitor != monitors_.end() && monitor->second.processes.count(id) != 0;
}

absl::Status FakeKernel::Forget(const std::string& pod_id,
                                const std::string& id) {
  const absl::MutexLock lock(&mutex_);
  const auto monitor = monitors_.find(pod_id);
  if (monitor == monitors_.end()) return absl::OkStatus();
  const auto process = monitor->second.processes.find(id);
  if (process == monitor->second.processes.end()) return absl::OkStatus();
  if (process->second.running) {
    return absl::FailedPreconditionError(absl::StrCat(id, " runs"));
  }
  monitor->second.processes.erase(process);
  return absl::OkStatus();
}

void FakeKernel::EndMonitor(const std::string& pod_id) {
  const absl::MutexLock lock(&mutex_);
  const auto monitor = monitors_.find(pod_id);
  if (monitor == monitors_.end()) return;
  for (const auto& [id, process] : monitor->second.processes) {
    running_.erase(id);
  }
  monitors_.erase(monitor);
}

}  // namespace pinion::testing_support
