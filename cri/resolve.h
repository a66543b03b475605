// Objects by what a client may name them: a full id, or an unambiguous prefix
// of one (people type prefixes into crictl; the kubelet sends full ids).
//
// Thread-safe; reads the runtime's snapshots and takes no lock of a pod.

#ifndef PINION_CRI_RESOLVE_H_
#define PINION_CRI_RESOLVE_H_

#include <string>

#include "absl/status/statusor.h"
#include "runtime/runtime.h"

namespace pinion::cri {

// The full id. A full id is returned without being looked for. NotFound if
// nothing has the prefix; InvalidArgument if several have it, or `id` is no id
// at all (empty, oversize, with '/' or control characters).
absl::StatusOr<std::string> ResolvePodId(const runtime::Runtime& runtime,
                                         const std::string& id);
absl::StatusOr<std::string> ResolveContainerId(const runtime::Runtime& runtime,
                                               const std::string& id);

// The same, and what is known of the object. NotFound for a pod that is
// only an intent (translate_status.h, IsVisible).
absl::StatusOr<runtime::PodSnapshot> ResolvePod(const runtime::Runtime& runtime,
                                                const std::string& id);
absl::StatusOr<runtime::ContainerSnapshot> ResolveContainer(
    const runtime::Runtime& runtime, const std::string& id);

}  // namespace pinion::cri

#endif  // PINION_CRI_RESOLVE_H_
