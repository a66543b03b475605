// What is left of a pod that was never ready.

#include "base/log.h"
#include "runtime/operations.h"
#include "runtime/state_machine.h"

namespace pinion::runtime {

void UndoPod(Context& context, const PodPtr& pod) {
  absl::Status status = TearDown(context, *pod);
  if (status.ok()) status = context.records->DeletePod(pod->id);
  if (status.ok()) return;
  Log(LogLevel::kError,
      "a failed pod was not undone; it is listed as not ready",
      {{"pod", pod->id}, {"error", status.ToString()}});
  pod->record.Update([](state::PodRecord& record) {
    return Apply(record, PodEvent::kRemove);
  });
  // A retry is to make a new pod, not to find this one.
  context.objects.AddUnnamed(pod);
}

}  // namespace pinion::runtime
