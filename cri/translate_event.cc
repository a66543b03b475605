#include "cri/translate_event.h"

#include "cri/translate_status.h"

namespace pinion::cri {
namespace {

api::ContainerEventType ToType(runtime::EventKind kind) {
  switch (kind) {
    case runtime::EventKind::kCreated:
      return api::CONTAINER_CREATED_EVENT;
    case runtime::EventKind::kStarted:
      return api::CONTAINER_STARTED_EVENT;
    case runtime::EventKind::kStopped:
      return api::CONTAINER_STOPPED_EVENT;
    case runtime::EventKind::kDeleted:
      return api::CONTAINER_DELETED_EVENT;
  }
  return api::CONTAINER_CREATED_EVENT;
}

}  // namespace

void ToContainerEvent(const runtime::Event& event,
                      api::ContainerEventResponse* out) {
  out->set_container_id(event.id);
  out->set_container_event_type(ToType(event.kind));
  out->set_created_at(event.created_at_ns);
  ToPodSandboxStatus(*event.pod, out->mutable_pod_sandbox_status());
  for (const runtime::ContainerSnapshot& container : event.containers) {
    ToContainerStatus(*container, out->add_containers_statuses());
  }
}

}  // namespace pinion::cri
