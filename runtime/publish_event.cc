// What the evented PLEG wants to know with each event: the whole pod, as it is
// after what happened.

#include "base/clock.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

Event MakeEvent(Context& context, EventKind kind, const Pod& pod,
                const std::string& id) {
  Event event;
  event.kind = kind;
  event.id = id;
  event.created_at_ns = Clock::Real().WallNanos();
  event.pod = pod.record.Get();
  for (const ContainerPtr& container : context.objects.ContainersOf(pod.id)) {
    event.containers.push_back(container->record.Get());
  }
  return event;
}

}  // namespace

void PublishEvent(Context& context, EventKind kind, const Pod& pod,
                  const std::string& id) {
  context.events.Publish([&]() -> std::vector<Event> {
    return {MakeEvent(context, kind, pod, id)};
  });
}

void PublishStarted(Context& context, Container& container) {
  context.events.Publish([&]() -> std::vector<Event> {
    if (container.start_told) return {};
    container.start_told = true;
    return {
        MakeEvent(context, EventKind::kStarted, *container.pod, container.id)};
  });
}

void PublishStopped(Context& context, Container& container, bool has_run) {
  context.events.Publish([&] {
    std::vector<Event> events;
    if (has_run && !container.start_told) {
      container.start_told = true;
      events.push_back(MakeEvent(context, EventKind::kStarted, *container.pod,
                                 container.id));
    }
    events.push_back(
        MakeEvent(context, EventKind::kStopped, *container.pod, container.id));
    return events;
  });
}

}  // namespace pinion::runtime
