// Containers that go on from a checkpoint: what CreateContainer and
// StartContainer do when the image's name is the path of an archive that
// CheckpointContainer made. docs/decisions/checkpoint.md.
//
// Thread-safe.

#ifndef PINION_RUNTIME_RESTORE_CONTAINER_H_
#define PINION_RUNTIME_RESTORE_CONTAINER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"
#include "runtime/checkpoint/metadata.h"
#include "runtime/container_plan.h"
#include "runtime/context.h"

namespace pinion::runtime {

// What neither a checkpoint nor a restore can do, judged by the request.
// Unimplemented.
absl::Status CheckCheckpointable(const state::ContainerSpec& spec);
// What a checkpoint says of its container, and the next one must ask for, too.
std::vector<checkpoint::MountPoint> MountPointsOf(
    const launch::LaunchSpec& launch);
std::string SecurityText(const state::ContainerSpec& spec);

bool IsCheckpoint(const state::ContainerSpec& spec);

struct OpenCheckpoint {
  os::UniqueFd archive;
  checkpoint::Metadata metadata;
};

// Unimplemented: criu is not installed. PermissionDenied: the archive could
// have been written by somebody but root. InvalidArgument: it is none.
absl::StatusOr<OpenCheckpoint> OpenCheckpointAt(const std::string& path);

// The processes in the images have the mounts, streams and powers they had;
// InvalidArgument if `record` asks for others.
absl::Status CheckRequest(Context& context, const state::PodRecord& pod,
                          const state::ContainerRecord& record,
                          const checkpoint::Metadata& metadata);

// Into the container's directory, whose writable layer is still empty.
absl::Status UnpackCheckpoint(Context& context, const std::string& id,
                              const OpenCheckpoint& checkpoint);

// criu's launch instead of the container's own `plan`, for a record that has
// `restore`.
absl::StatusOr<launch::LaunchSpec> PlanRestore(
    Context& context, const state::ContainerRecord& record,
    const launch::LaunchSpec& plan);
// Where criu leaves the pid of what it restored.
absl::StatusOr<os::UniqueFd> OpenRestoreDir(Context& context,
                                            const std::string& id);
// `status` of the start with criu's own words.
absl::Status ExplainRestore(Context& context, const std::string& id,
                            const absl::Status& status);
// The images, once the processes are made of them. Best effort.
void ForgetCheckpoint(Context& context, const std::string& id);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_RESTORE_CONTAINER_H_
