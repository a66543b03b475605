// Events, from the domain to the CRI. Pure.

#ifndef PINION_CRI_TRANSLATE_EVENT_H_
#define PINION_CRI_TRANSLATE_EVENT_H_

#include "cri/api.h"
#include "runtime/events.h"

namespace pinion::cri {

// Always with the pod's status: the kubelet drops an event without.
void ToContainerEvent(const runtime::Event& event,
                      api::ContainerEventResponse* out);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_EVENT_H_
