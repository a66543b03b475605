// What may happen to a pod and to a container, and in which order. Pure.
//
//   pod        (new) ──run──▶ CREATING ──ready──▶ READY
//                                │                  │ stop, lost
//                              failed               ▼
//                                │              STOPPING ──stopped──▶ NOT_READY
//                                ▼                                        │
//                             REMOVING ◀───────────remove─────────────────┘
//
//   container  (new) ──create──▶ CREATED ──started──▶ RUNNING
//                                  │ │                   │ exited
//                                  │ └──start failed──┐  ▼
//                                remove               └▶ EXITED
//                                  ▼                      │ remove
//                               REMOVING ◀────────────────┘
//
// A stop of a pod that is not READY, and a second remove, are legal and
// change nothing (the CRI's idempotency).

#ifndef PINION_RUNTIME_STATE_MACHINE_H_
#define PINION_RUNTIME_STATE_MACHINE_H_

#include <optional>

#include "state.pb.h"

namespace pinion::runtime {

enum class PodEvent { kReady, kStop, kStopped, kRemove };
enum class ContainerEvent { kStarted, kStartFailed, kExited, kRemove };

// nullopt: the event is not legal in this state.
std::optional<state::PodState> Next(state::PodState state, PodEvent event);
std::optional<state::ContainerState> Next(state::ContainerState state,
                                          ContainerEvent event);

// Applies the event; false, and nothing changed, if it is not legal.
bool Apply(state::PodRecord& pod, PodEvent event);
bool Apply(state::ContainerRecord& container, ContainerEvent event);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_STATE_MACHINE_H_
