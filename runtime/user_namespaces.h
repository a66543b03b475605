// User namespaces of pods: what can be asked together with one, and whose a
// container's ids are on the host.
//
// Thread-safe.

#ifndef PINION_RUNTIME_USER_NAMESPACES_H_
#define PINION_RUNTIME_USER_NAMESPACES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "runtime/launch/launch_spec.h"
#include "state.pb.h"

namespace pinion::runtime {

using IdMappings = google::protobuf::RepeatedPtrField<state::IdMapping>;

// Lines for /proc/PID/uid_map.
std::string IdMapText(const IdMappings& mappings);

// Who `id` inside is on the host; nothing if it is not mapped.
std::optional<uint32_t> HostId(const IdMappings& mappings, int64_t id);

// The host's PID and IPC namespaces belong to no pod's user namespace: proc
// and mqueue could not be mounted. InvalidArgument.
absl::Status CheckPodUserNamespace(const state::PodSpec& spec);

// A container has its pod's user namespace, or says nothing; its mounts are
// mapped as the pod is, or not at all; its devices are below /dev.
// InvalidArgument.
absl::Status CheckContainerUserNamespace(const state::PodSpec& pod,
                                         const state::ContainerSpec& spec);

// If it has a user namespace: the resolved container's ids are mapped, and its
// CDI devices are below /dev. InvalidArgument.
absl::Status CheckMapped(const state::ContainerRecord& container);

// For the plan of a container of such a pod; nothing without one.
launch::UserNamespace LaunchUserNamespace(
    const state::ContainerRecord& container, const state::Namespaces& pod);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_USER_NAMESPACES_H_
