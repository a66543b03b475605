// What a container runs, from its image and its request. Pure.

#ifndef PINION_RUNTIME_CONTAINER_COMMAND_H_
#define PINION_RUNTIME_CONTAINER_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "image/image_service.h"
#include "state.pb.h"

namespace pinion::runtime {

// Kubernetes' rule: `command` replaces the image's entrypoint and its cmd,
// `args` alone replaces only the cmd. InvalidArgument if nothing is left.
absl::StatusOr<std::vector<std::string>> ContainerArgv(
    const state::ContainerSpec& spec, const image::ImageConfig& image);

// The image's environment, then HOSTNAME and (with a terminal) TERM, then the
// request's; a later KEY replaces an earlier one in its place. PATH and HOME
// have defaults. Values are bytes.
std::vector<std::string> ContainerEnv(const state::ContainerSpec& spec,
                                      const image::ImageConfig& image,
                                      const std::string& hostname,
                                      const std::string& home);

// For an exec with a terminal in a container without: TERM, unless it is set.
void SetDefaultTerm(std::vector<std::string>& env);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_CONTAINER_COMMAND_H_
