#include "runtime/exec_cgroup.h"

#include <sys/epoll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "base/log.h"
#include "runtime/cgroup/cgroup_dir.h"

namespace pinion::runtime {
namespace {

constexpr std::chrono::seconds kLongestPause(60);

void LogStays(const std::string& container_id, const absl::Status& status) {
  if (status.ok()) return;
  Log(LogLevel::kDebug, "an exec's cgroup stays until its container goes",
      {{"container", container_id}, {"error", status.ToString()}});
}

// Runs `done` once the cgroup is empty, on whatever thread finds that out.
class EmptyWatch : public std::enable_shared_from_this<EmptyWatch> {
 public:
  EmptyWatch(os::Reactor& reactor, os::UniqueFd events,
             std::function<void()> done)
      : reactor_(reactor), events_(std::move(events)), done_(std::move(done)) {}

  // The reactor keeps it until then: a process that SIGKILL does not end (it
  // sits in the kernel) costs a descriptor, and no thread.
  absl::Status Start() {
    const absl::Status added =
        reactor_.Add(events_.get(), EPOLLPRI,
                     [self = shared_from_this()](uint32_t) { self->Check(); });
    if (!added.ok()) return added;
    Check();  // What was before is not reported.
    CheckLater(std::chrono::seconds(1));
    return absl::OkStatus();
  }

 private:
  // The kernel holds notifications back for up to 10 ms, and forgets them if
  // the cgroup is removed meanwhile (cgroup_file_notify, cgroup_rm_file): the
  // container was removed.
  void CheckLater(std::chrono::seconds delay) {
    reactor_.After(delay, [weak = weak_from_this(), delay] {
      const auto self = weak.lock();
      if (self == nullptr || self->found_) return;
      self->Check();
      self->CheckLater(std::min(delay * 2, kLongestPause));
    });
  }

  void Check() {
    const auto populated = cgroup::IsPopulated(events_.get());
    if (populated.ok() && *populated) return;
    if (found_.exchange(true)) return;
    reactor_.Remove(events_.get());
    done_();
  }

  os::Reactor& reactor_;
  const os::UniqueFd events_;
  const std::function<void()> done_;
  std::atomic<bool> found_ = false;
};

}  // namespace

ExecCgroup::ExecCgroup(Context& context, std::string pod,
                       std::string container_id, std::string exec_id)
    : context_(&context),
      pod_(std::move(pod)),
      container_id_(std::move(container_id)),
      exec_id_(std::move(exec_id)) {}

absl::StatusOr<os::UniqueFd> ExecCgroup::Create() const {
  return context_->deps.container_cgroups->CreateExec(pod_, container_id_,
                                                      exec_id_);
}

absl::Status ExecCgroup::Kill() const {
  return context_->deps.container_cgroups->KillExec(pod_, container_id_,
                                                    exec_id_);
}

void ExecCgroup::Leave() const {
  LogStays(container_id_, context_->deps.container_cgroups->RemoveExec(
                              pod_, container_id_, exec_id_));
}

void ExecCgroup::End() const {
  // At once (one write); what may have to wait is done behind.
  LogStays(container_id_, Kill());
  context_->work->Add([self = *this] { self.KillAndWatch(); });
}

void ExecCgroup::KillAndWatch() const {
  absl::Status status = Kill();
  if (!status.ok()) return LogStays(container_id_, status);
  auto events = context_->deps.container_cgroups->ExecEvents(
      pod_, container_id_, exec_id_);
  if (absl::IsNotFound(events.status())) return;
  if (!events.ok()) return LogStays(container_id_, events.status());
  const auto watch = std::make_shared<EmptyWatch>(
      *context_->reactor, *std::move(events),
      [self = *this] { self.context_->work->Add([self] { self.Remove(); }); });
  LogStays(container_id_, watch->Start());
}

void ExecCgroup::Remove() const {
  LogStays(container_id_, context_->deps.container_cgroups->RemoveExecTree(
                              pod_, container_id_, exec_id_));
}

}  // namespace pinion::runtime
