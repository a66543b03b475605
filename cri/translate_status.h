// What pods and containers are, from the domain to the CRI: list entries,
// statuses and the filters of lists.
//
// Pure functions. What the caller gave comes back unaltered: metadata, labels,
// annotations, mounts, image spec.

#ifndef PINION_CRI_TRANSLATE_STATUS_H_
#define PINION_CRI_TRANSLATE_STATUS_H_

#include <string>

#include "cri/api.h"
#include "state.pb.h"

namespace pinion::cri {

// False while a pod is only an intent: the kubelet was told nothing of it yet,
// and if making it fails it goes away again.
bool IsVisible(const state::PodRecord& pod);

// An id filter matches prefixes. Filters that are not set match everything.
bool Matches(const api::PodSandboxFilter& filter, const state::PodRecord& pod);
bool Matches(const api::ContainerFilter& filter,
             const state::ContainerRecord& container);

void ToPodSandbox(const state::PodRecord& pod, api::PodSandbox* out);
void ToPodSandboxStatus(const state::PodRecord& pod,
                        api::PodSandboxStatus* out);

void ToContainer(const state::ContainerRecord& container, api::Container* out);
// An ended container without a reason of the runtime's gets Completed or
// Error by its exit code.
void ToContainerStatus(const state::ContainerRecord& container,
                       api::ContainerStatus* out);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_STATUS_H_
