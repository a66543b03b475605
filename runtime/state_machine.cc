#include "runtime/state_machine.h"

namespace pinion::runtime {

std::optional<state::PodState> Next(state::PodState state, PodEvent event) {
  switch (event) {
    case PodEvent::kReady:
      if (state == state::POD_CREATING) return state::POD_READY;
      return std::nullopt;
    case PodEvent::kStop:
      if (state == state::POD_READY) return state::POD_STOPPING;
      // Already on the way, or there: the stop is repeated, not refused.
      if (state == state::POD_STOPPING || state == state::POD_NOT_READY) {
        return state;
      }
      return std::nullopt;
    case PodEvent::kStopped:
      if (state == state::POD_STOPPING || state == state::POD_NOT_READY) {
        return state::POD_NOT_READY;
      }
      return std::nullopt;
    case PodEvent::kRemove:
      if (state == state::POD_CREATING || state == state::POD_NOT_READY ||
          state == state::POD_REMOVING) {
        return state::POD_REMOVING;
      }
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<state::ContainerState> Next(state::ContainerState state,
                                          ContainerEvent event) {
  switch (event) {
    case ContainerEvent::kStarted:
      if (state == state::CONTAINER_CREATED) return state::CONTAINER_RUNNING;
      return std::nullopt;
    case ContainerEvent::kStartFailed:
      if (state == state::CONTAINER_CREATED) return state::CONTAINER_EXITED;
      return std::nullopt;
    case ContainerEvent::kExited:
      // CREATED too: an exit may overtake the reply of the start.
      if (state == state::CONTAINER_CREATED ||
          state == state::CONTAINER_RUNNING) {
        return state::CONTAINER_EXITED;
      }
      return std::nullopt;
    case ContainerEvent::kRemove:
      if (state == state::CONTAINER_CREATED ||
          state == state::CONTAINER_EXITED ||
          state == state::CONTAINER_REMOVING) {
        return state::CONTAINER_REMOVING;
      }
      return std::nullopt;
  }
  return std::nullopt;
}

bool Apply(state::PodRecord& pod, PodEvent event) {
  const auto next = Next(pod.state(), event);
  if (next) pod.set_state(*next);
  return next.has_value();
}

bool Apply(state::ContainerRecord& container, ContainerEvent event) {
  const auto next = Next(container.state(), event);
  if (next) container.set_state(*next);
  return next.has_value();
}

}  // namespace pinion::runtime
