#include "runtime/restore_container.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/checkpoint/archive.h"
#include "runtime/checkpoint/criu.h"
#include "runtime/monitor/messages.h"

namespace pinion::runtime {
namespace {

constexpr size_t kMaxLog = size_t{16} << 20;

// <root>/containers/<id>/checkpoint: criu's images, where its mounts are
// staged, and the pid it leaves.
constexpr char kStage[] = "/checkpoint";

absl::Status Refuse(const std::string& what) {
  return absl::UnimplementedError(absl::StrCat(
      "a checkpoint of a container with ", what, " is not supported"));
}

absl::Status Differs(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "a container that goes on from a checkpoint must be asked for like the "
      "first one: ",
      what));
}

std::string Words(const checkpoint::MountPoint& mount) {
  return absl::StrCat(mount.destination,
                      mount.readonly ? " (read-only)" : " (writable)");
}

// The mounts of `a` that `b` has not.
std::vector<std::string> Missing(const std::vector<checkpoint::MountPoint>& a,
                                 const std::vector<checkpoint::MountPoint>& b) {
  std::vector<std::string> missing;
  for (const checkpoint::MountPoint& mount : a) {
    if (std::find(b.begin(), b.end(), mount) == b.end()) {
      missing.push_back(Words(mount));
    }
  }
  return missing;
}

}  // namespace

absl::Status CheckCheckpointable(const state::ContainerSpec& spec) {
  if (spec.tty()) return Refuse("a terminal");
  const state::Namespaces& namespaces = spec.security().namespaces();
  if (namespaces.pid() != state::NAMESPACE_CONTAINER) {
    return Refuse("a PID namespace that is not its own");
  }
  if (namespaces.has_user_namespace()) return Refuse("a user namespace");
  for (const state::Mount& mount : spec.mounts()) {
    if (mount.propagation() != state::PROPAGATION_PRIVATE) {
      return Refuse(
          absl::StrCat("mount propagation (", mount.container_path(), ")"));
    }
    if (mount.has_image()) {
      return Refuse(
          absl::StrCat("an image volume (", mount.container_path(), ")"));
    }
  }
  return absl::OkStatus();
}

std::vector<checkpoint::MountPoint> MountPointsOf(
    const launch::LaunchSpec& launch) {
  std::vector<checkpoint::MountPoint> mounts;
  for (const launch::BindMount& mount : launch.mounts) {
    mounts.push_back(
        {mount.target, mount.readonly || mount.recursive_readonly});
  }
  return mounts;
}

std::string SecurityText(const state::ContainerSpec& spec) {
  return spec.security().ShortDebugString();
}

bool IsCheckpoint(const state::ContainerSpec& spec) {
  return absl::StartsWith(spec.image(), "/");
}

absl::StatusOr<OpenCheckpoint> OpenCheckpointAt(const std::string& path) {
  PINION_RETURN_IF_ERROR(checkpoint::FindCriu().status());
  OpenCheckpoint result;
  PINION_ASSIGN_OR_RETURN(result.archive, checkpoint::OpenArchive(path));
  PINION_ASSIGN_OR_RETURN_AS(const checkpoint::Documents documents,
                             checkpoint::ReadDocuments(result.archive.get()),
                             path);
  PINION_ASSIGN_OR_RETURN_AS(result.metadata,
                             checkpoint::ParseDocuments(documents), path);
  return result;
}

absl::Status CheckRequest(Context& context, const state::PodRecord& pod,
                          const state::ContainerRecord& record,
                          const checkpoint::Metadata& metadata) {
  const state::ContainerSpec& spec = record.spec();
  PINION_RETURN_IF_ERROR(CheckCheckpointable(spec));
  const std::string security = SecurityText(spec);
  if (security != metadata.security) {
    return Differs(absl::StrCat("linux.security_context was {",
                                metadata.security, "}, and is {", security,
                                "}"));
  }
  const bool had_stdin = metadata.stdio[0] != "/dev/null";
  if (spec.stdin() != had_stdin) {
    return Differs(had_stdin ? "stdin was open" : "stdin was not open");
  }
  PINION_ASSIGN_OR_RETURN(const ContainerPlan plan,
                          PlanContainer(context, pod, record));
  const std::vector<checkpoint::MountPoint> mounts = MountPointsOf(plan.launch);
  for (const std::string& mount : Missing(metadata.mounts, mounts)) {
    return Differs(absl::StrCat("mounts lack ", mount));
  }
  for (const std::string& mount : Missing(mounts, metadata.mounts)) {
    return Differs(absl::StrCat("mounts had no ", mount));
  }
  return absl::OkStatus();
}

absl::Status UnpackCheckpoint(Context& context, const std::string& id,
                              const OpenCheckpoint& checkpoint) {
  const int containers = context.containers_dir.get();
  const std::string stage = absl::StrCat(id, kStage);
  for (const char* name : {"", "/images", "/root", "/mounts"}) {
    PINION_RETURN_IF_ERROR(os::MakeDirAt(containers, stage + name, 0700));
  }
  PINION_ASSIGN_OR_RETURN(
      const os::UniqueFd images,
      os::OpenAt(containers, stage + "/images", O_RDONLY | O_DIRECTORY));
  PINION_ASSIGN_OR_RETURN(
      os::UniqueFd upper,
      os::OpenAt(containers, id + "/upper", O_RDONLY | O_DIRECTORY));
  struct statvfs space = {};
  if (fstatvfs(images.get(), &space) != 0) return os::ErrnoStatus("fstatvfs");
  checkpoint::UnpackLimits limits;
  // The other pods' layers, logs and records need the rest.
  limits.bytes = space.f_bavail * space.f_frsize / 2;
  return Annotate(
      checkpoint::UnpackArchive(checkpoint.archive.get(), images.get(),
                                std::move(upper), limits),
      "unpack the checkpoint");
}

absl::StatusOr<launch::LaunchSpec> PlanRestore(
    Context& context, const state::ContainerRecord& record,
    const launch::LaunchSpec& plan) {
  const std::string stage =
      absl::StrCat(ContainerDir(context, record.id()), kStage);
  checkpoint::RestoreCommand command;
  command.images_dir = stage + "/images";
  command.root = stage + "/root";
  command.pid_file = absl::StrCat(stage, "/", monitor::kRestoredPidFile);
  launch::LaunchSpec launch;
  launch.kind = launch::Kind::kRestore;
  for (const launch::BindMount& mount : plan.mounts) {
    launch::BindMount staged = mount;
    staged.target = absl::StrCat(stage, "/mounts/", launch.mounts.size());
    command.mounts.push_back({mount.target, staged.target});
    launch.mounts.push_back(std::move(staged));
  }
  if (record.restore().stdio_size() != static_cast<int>(command.stdio.size())) {
    return absl::DataLossError("the record of the checkpoint is damaged");
  }
  for (size_t i = 0; i < command.stdio.size(); ++i) {
    const std::string& name = record.restore().stdio(static_cast<int>(i));
    if (name != "/dev/null") command.stdio[i] = name;
  }
  PINION_ASSIGN_OR_RETURN(const std::string criu, checkpoint::FindCriu());
  launch.argv = checkpoint::RestoreArguments(command);
  launch.argv.front() = criu;
  launch.env = checkpoint::CriuEnvironment();
  launch.rootfs = plan.rootfs;
  launch.working_dir = command.root;
  launch.user_namespace.stdio_uid = plan.uid;
  launch.oom_score_adj = plan.oom_score_adj;
  launch.set_oom_score_adj = true;
  return launch;
}

absl::StatusOr<os::UniqueFd> OpenRestoreDir(Context& context,
                                            const std::string& id) {
  return os::OpenAt(context.containers_dir.get(), id + kStage,
                    O_RDONLY | O_DIRECTORY);
}

absl::Status ExplainRestore(Context& context, const std::string& id,
                            const absl::Status& status) {
  if (status.ok()) return status;
  const auto log = os::ReadFileAt(
      context.containers_dir.get(),
      absl::StrCat(id, kStage, "/images/", checkpoint::kRestoreLog), kMaxLog);
  if (!log.ok()) return status;  // It did not come to that.
  return absl::Status(status.code(),
                      absl::StrCat("criu restore: ", checkpoint::ErrorsOf(*log),
                                   " (", status.message(), ")"));
}

void ForgetCheckpoint(Context& context, const std::string& id) {
  const absl::Status status =
      os::RemoveTreeAt(context.containers_dir.get(), id + kStage);
  if (!status.ok()) {
    Log(LogLevel::kWarning, "the images of a restored container were left",
        {{"container", id}, {"error", status.ToString()}});
  }
}

}  // namespace pinion::runtime
