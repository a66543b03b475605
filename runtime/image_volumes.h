// Mounts whose source is an image (mounts[].image of the CRI).
//
// Thread-safe.

#ifndef PINION_RUNTIME_IMAGE_VOLUMES_H_
#define PINION_RUNTIME_IMAGE_VOLUMES_H_

#include <string>

#include "absl/status/status.h"
#include "runtime/context.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::runtime {

// Resolves the images of `spec`'s mounts to their layers, kept for `holder`
// (a container's id) from here on. Every error starts with
// "ImageVolumeMountFailed", which the kubelet looks for: NotFound, there is no
// such image here; InvalidArgument, the image has nothing at the sub-path.
absl::Status ResolveImageVolumes(Context& context, const std::string& holder,
                                 state::ContainerSpec& spec);

// The layers of all of the container's image volumes.
std::vector<std::string> ImageVolumeLayers(const state::ContainerSpec& spec);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_IMAGE_VOLUMES_H_
