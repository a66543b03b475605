// Mounts and devices of a container.
//
// Pure functions: whether a host path exists is for the runtime to find.

#ifndef PINION_CRI_TRANSLATE_MOUNTS_H_
#define PINION_CRI_TRANSLATE_MOUNTS_H_

#include "absl/status/statusor.h"
#include "cri/api.h"
#include "cri/field.h"
#include "state.pb.h"

namespace pinion::cri {

// recursive_read_only needs readonly and private propagation (CRI); the
// refusal starts with "RROUnsupported", which the kubelet matches. Image
// volumes ("ImageVolumeMountFailed") and id-mapped mounts are not supported
// yet.
absl::StatusOr<state::Mount> ToMount(const Field& field, const api::Mount& in);
void FromMount(const state::Mount& in, api::Mount* out);

// permissions: each of r, w, m at most once, at least one of them.
absl::StatusOr<state::Device> ToDevice(const Field& field,
                                       const api::Device& in);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_MOUNTS_H_
