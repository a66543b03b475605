// The CDI devices of a container: named in CDI_devices, or in annotations
// "cdi.k8s.io/…" as device plugins say them to kubelets before 1.31.
//
// Pure function; thread-safe.

#ifndef PINION_CRI_TRANSLATE_CDI_H_
#define PINION_CRI_TRANSLATE_CDI_H_

#include "absl/status/status.h"
#include "cri/api.h"
#include "cri/field.h"
#include "state.pb.h"

namespace pinion::cri {

// Each once; those of CDI_devices first, then by the annotations' keys.
absl::Status SetCdiDevices(const Field& config, const api::ContainerConfig& in,
                           state::ContainerSpec& out);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_CDI_H_
