// From a request and an image to what the kernel is asked for: first the
// record (resolved once, at create), then the launch plans made from it.
//
// Thread-safe.

#ifndef PINION_RUNTIME_CONTAINER_PLAN_H_
#define PINION_RUNTIME_CONTAINER_PLAN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"
#include "runtime/cgroup/container_cgroup.h"
#include "runtime/context.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::runtime {

// Checks the request and resolves it against the image: argv, environment,
// working directory, user, stop signal, log path. The record is in state
// CREATED. InvalidArgument names the field; nothing is touched.
absl::StatusOr<state::ContainerRecord> ResolveContainer(
    Context& context, const state::PodRecord& pod,
    const state::ContainerSpec& spec, const image::ImageInfo& image,
    const std::string& id);

// What mount(2) calls it; nothing asked for is private.
launch::Propagation ToPropagation(state::MountPropagation propagation);

struct ContainerPlan {
  launch::LaunchSpec launch;
  // For the cgroup's device filter.
  std::vector<cgroup::DeviceRule> device_rules;
};

absl::StatusOr<ContainerPlan> PlanContainer(
    Context& context, const state::PodRecord& pod,
    const state::ContainerRecord& container);

// One more process in the running `container`.
absl::StatusOr<launch::LaunchSpec> PlanExec(
    Context& context, const state::ContainerRecord& container,
    const std::vector<std::string>& command, bool terminal);

// Whether the container's root can be mounted before it starts. If not, the
// process mounts it by itself, from the plan: so where ids are mapped, or
// images.
bool MountsRootAhead(const Context& context,
                     const state::ContainerRecord& container);

// A volatile overlay is not mounted twice: takes away the mark of a root that
// was mounted ahead by a daemon that was killed, and that no process has seen.
absl::Status ForgetUnusedMount(Context& context,
                               const state::ContainerRecord& container);

// The overlay of a container that never ran, as a detached mount.
absl::StatusOr<os::UniqueFd> MountRoot(Context& context,
                                       const state::ContainerRecord& container);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_CONTAINER_PLAN_H_
