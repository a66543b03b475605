// What is asked of a container, from the CRI to the domain.
//
// Pure functions.

#ifndef PINION_CRI_TRANSLATE_CONTAINER_H_
#define PINION_CRI_TRANSLATE_CONTAINER_H_

#include "absl/status/statusor.h"
#include "cri/api.h"
#include "state.pb.h"

namespace pinion::cri {

// Checks every field of the request's config, as ToPodSpec does. Whether host
// paths and users exist is for the runtime to find. The request's
// sandbox_config repeats what RunPodSandbox was given and is not looked at:
// the pod's own record counts.
absl::StatusOr<state::ContainerSpec> ToContainerSpec(
    const api::CreateContainerRequest& request);

// Fits the container into its pod: the network and IPC namespaces are always
// the pod's, and the PID namespace POD of a pod with the node's is that one.
// InvalidArgument if it asks for more than the pod was given
// (privileged, a namespace of the node).
absl::Status FitIntoPod(const state::PodSpec& pod, state::ContainerSpec* spec);

// InvalidArgument if the container asks for the node's user namespace and the
// pod has one of its own.
absl::Status CheckUserNamespaceMode(const api::ContainerConfig& config,
                                    const state::PodSpec& pod);

// Unimplemented if the container names SELinux labels and the node has SELinux:
// it would run under another label than its author believes. Elsewhere labels
// have no effect, as with every runtime.
absl::Status CheckSelinux(const api::ContainerConfig& config,
                          bool node_has_selinux);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_CONTAINER_H_
