// StopContainer: the stop signal, the grace, SIGKILL. No lock is held while
// the grace runs out.

#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

// From SIGKILL to the report of the end: only a process in uninterruptible
// sleep or a monitor that does not run takes longer.
constexpr std::chrono::seconds kKillDeadline(20);
// A grace that never ends in practice, so that adding it cannot overflow.
constexpr std::chrono::seconds kLongestGrace(365 * 24 * 3600);

bool HasEnded(const state::ContainerRecord& record) {
  return record.state() != state::CONTAINER_RUNNING;
}

absl::Status KillContainer(Context& context, Container& container) {
  const auto pod = container.pod->record.Get();
  PINION_RETURN_IF_ERROR_AS(
      context.deps.container_cgroups->Kill(pod->cgroup(), container.id),
      absl::StrCat("kill container ", container.id));
  const auto deadline = std::chrono::steady_clock::now() + kKillDeadline;
  const bool awaited = AwaitEnd(container, deadline);
  if (HasEnded(*container.record.Get())) return absl::OkStatus();
  if (awaited) {
    return absl::UnavailableError(
        absl::StrCat("container ", container.id, " was killed, and the pod's ",
                     "monitor is gone; its end is reported soon"));
  }
  return absl::DeadlineExceededError(absl::StrCat(
      "container ", container.id, " was killed, but its end is not reported ",
      "after ", kKillDeadline.count(), " s; is a process in uninterruptible ",
      "sleep, or the pod's monitor stopped?"));
}

}  // namespace

absl::Status StopContainer(Context& context, const std::string& id,
                           std::chrono::seconds grace) {
  const auto found = context.objects.FindContainer(id);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(found.status());
  Container& container = **found;
  const auto record = container.record.Get();
  if (HasEnded(*record)) return absl::OkStatus();
  if (grace > std::chrono::seconds(0)) {
    const auto client = container.pod->Monitor();
    if (client == nullptr) {
      grace = std::chrono::seconds(0);  // nobody to deliver the signal
    } else {
      const absl::Status status = client->Signal(
          container.id, record->stop_signal(), MonitorDeadline());
      if (!status.ok()) {
        Log(LogLevel::kWarning, "stop signal not delivered; it will be killed",
            {{"container", container.id}, {"error", status.ToString()}});
        grace = std::chrono::seconds(0);
      }
    }
    const auto deadline =
        std::chrono::steady_clock::now() + std::min(grace, kLongestGrace);
    const auto is_over = [&context](const state::ContainerRecord& now) {
      return HasEnded(now) || context.stopping;
    };
    const bool awaited = container.record.Await(is_over, deadline);
    if (HasEnded(*container.record.Get())) return absl::OkStatus();
    // Nobody is to lose the rest of the grace to it: asked again, it has all
    // of it.
    if (awaited) {
      return absl::UnavailableError(
          absl::StrCat("piniond is stopping; container ", container.id,
                       " was told to end and has not; ask again"));
    }
  }
  return KillContainer(context, container);
}

}  // namespace pinion::runtime
