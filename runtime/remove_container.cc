// RemoveContainer: forced if it runs; idempotent.

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "runtime/operations.h"
#include "runtime/state_machine.h"

namespace pinion::runtime {

absl::Status RemoveContainerLocked(Context& context, Container& container) {
  const std::string& id = container.id;
  const auto pod = container.pod->record.Get();
  PINION_RETURN_IF_ERROR(StopContainer(context, id, std::chrono::seconds(0)));
  const auto removing =
      container.record.Update([](state::ContainerRecord& record) {
        return Apply(record, ContainerEvent::kRemove);
      });
  // A full disk must not keep the layer that fills it. Without the record a
  // crash leaves an ended container, which can be removed again.
  const absl::Status saved = context.records->Save(*removing);
  if (!saved.ok()) {
    Log(LogLevel::kError, "the removal of a container was not recorded",
        {{"container", id}, {"error", saved.ToString()}});
  }
  PINION_RETURN_IF_ERROR_AS(
      context.deps.container_cgroups->Remove(pod->cgroup(), id),
      "remove the container's cgroup");
  ForgetCpus(context, id);
  const auto client = container.pod->Monitor();
  // It also remembers what it could not start.
  const bool known_to_monitor =
      removing->started_at_ns() != 0 || removing->finished_at_ns() != 0;
  if (client != nullptr && known_to_monitor) {
    const absl::Status status = client->Forget(id, MonitorDeadline());
    if (!status.ok() && !absl::IsNotFound(status)) {
      // Only its memory of an ended container is left; it goes with the pod.
      Log(LogLevel::kWarning, "pod monitor did not forget a container",
          {{"container", id}, {"error", status.ToString()}});
    }
  }
  // If it was never started.
  container.root.Take().Reset();
  PINION_RETURN_IF_ERROR_AS(os::RemoveTreeAt(context.containers_dir.get(), id),
                            "remove the container's writable layer");
  PINION_RETURN_IF_ERROR(context.records->DeleteContainer(id));
  context.deps.images->Release(id);
  context.objects.RemoveContainer(id);
  PublishEvent(context, EventKind::kDeleted, *container.pod, id);
  return absl::OkStatus();
}

absl::Status RemoveContainer(Context& context, const std::string& id) {
  const auto found = context.objects.FindContainer(id);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(found.status());
  const ContainerPtr container = *found;
  const absl::MutexLock lock(&container->pod->operation);
  // Another remove may have been first.
  if (!context.objects.FindContainer(container->id).ok()) {
    return absl::OkStatus();
  }
  return RemoveContainerLocked(context, *container);
}

}  // namespace pinion::runtime
