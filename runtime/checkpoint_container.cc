// CheckpointContainer: a running container becomes an archive, and runs on.
//
// No lock of the pod's is held: a stop meanwhile kills the container, and the
// checkpoint fails.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "os/process.h"
#include "runtime/checkpoint/archive.h"
#include "runtime/checkpoint/criu.h"
#include "runtime/checkpoint/criu_dump.h"
#include "runtime/checkpoint/metadata.h"
#include "runtime/checkpoint/root_diff.h"
#include "runtime/container_plan.h"
#include "runtime/operations.h"
#include "runtime/restore_container.h"

namespace pinion::runtime {
namespace {

constexpr char kWorkDir[] = "checkpoints";
constexpr std::chrono::minutes kDefaultTimeout{5};

// One checkpoint of a container at a time.
class Turn {
 public:
  explicit Turn(Container& container)
      : flag_(container.in_checkpoint), mine_(!flag_.exchange(true)) {}
  ~Turn() {
    if (mine_) flag_ = false;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool mine() const { return mine_; }

 private:
  std::atomic<bool>& flag_;
  const bool mine_;
};

// Where criu writes; gone at the end.
class WorkDir {
 public:
  static absl::StatusOr<WorkDir> Create(const Context& context,
                                        const std::string& id) {
    WorkDir dir(context, absl::StrCat(kWorkDir, "/", id));
    const int root = context.root_dir.get();
    PINION_RETURN_IF_ERROR(os::MakeDirAt(root, kWorkDir, 0700));
    PINION_RETURN_IF_ERROR(os::RemoveTreeAt(root, dir.path_));
    PINION_RETURN_IF_ERROR(os::MakeDirAt(root, dir.path_, 0700));
    PINION_RETURN_IF_ERROR(os::MakeDirAt(root, dir.path_ + "/images", 0700));
    return dir;
  }
  WorkDir(WorkDir&& other) noexcept
      : context_(other.context_),
        path_(std::exchange(other.path_, std::string())) {}
  WorkDir& operator=(WorkDir&&) = delete;
  ~WorkDir() {
    if (path_.empty()) return;
    const absl::Status status =
        os::RemoveTreeAt(context_.root_dir.get(), path_);
    if (!status.ok()) {
      Log(LogLevel::kError, "a checkpoint's files were not removed",
          {{"path", path_}, {"error", status.ToString()}});
    }
  }

  absl::StatusOr<os::UniqueFd> Open(const std::string& name, int flags) const {
    return os::OpenAt(context_.root_dir.get(), absl::StrCat(path_, "/", name),
                      flags, 0600);
  }
  std::string ImagesDir() const {
    return absl::StrCat(context_.options.root, "/", path_, "/images");
  }

 private:
  WorkDir(const Context& context, std::string path)
      : context_(context), path_(std::move(path)) {}

  const Context& context_;
  std::string path_;
};

std::string ProcPath(const state::ContainerRecord& record,
                     const std::string& rest) {
  return absl::StrCat("/proc/", record.pid(), "/", rest);
}

absl::StatusOr<std::string> ReadLink(const std::string& path) {
  std::string target(PATH_MAX, '\0');
  const ssize_t n = readlink(path.c_str(), target.data(), target.size());
  if (n < 0) return os::ErrnoStatus("readlink " + path);
  target.resize(static_cast<size_t>(n));
  return target;
}

// What the request and the pod mounted into it, as the container's mount table
// has it: links on the way to a mount point have been followed.
absl::StatusOr<std::vector<checkpoint::ExternalMount>> ExternalMounts(
    const state::ContainerRecord& record, const launch::LaunchSpec& launch) {
  PINION_ASSIGN_OR_RETURN(
      const os::UniqueFd root,
      os::OpenAt(AT_FDCWD, ProcPath(record, "root"), O_PATH | O_DIRECTORY));
  std::vector<checkpoint::ExternalMount> mounts;
  for (const launch::BindMount& mount : launch.mounts) {
    PINION_ASSIGN_OR_RETURN(const os::UniqueFd target,
                            os::OpenInRoot(root.get(), mount.target, O_PATH));
    PINION_ASSIGN_OR_RETURN(std::string path,
                            ReadLink(os::FdPath(target.get())));
    mounts.push_back({mount.target, std::move(path)});
  }
  return mounts;
}

absl::StatusOr<checkpoint::Metadata> MetadataOf(
    const state::PodRecord& pod, const state::ContainerRecord& record,
    const launch::LaunchSpec& launch) {
  checkpoint::Metadata metadata;
  metadata.id = record.id();
  metadata.name = record.spec().name();
  metadata.image_id = record.image_id();
  metadata.image_ref = record.image_ref();
  metadata.image_name = record.spec().image();
  metadata.created_at_ns = record.created_at_ns();
  metadata.checkpointed_at_ns = Clock::Real().WallNanos();
  metadata.argv.assign(record.argv().begin(), record.argv().end());
  metadata.working_dir = record.working_dir();
  metadata.uid = record.user().uid();
  metadata.gid = record.user().gid();
  metadata.hostname = pod.spec().hostname();
  metadata.mounts = MountPointsOf(launch);
  metadata.security = SecurityText(record.spec());
  for (size_t i = 0; i < metadata.stdio.size(); ++i) {
    auto target = ReadLink(ProcPath(record, absl::StrCat("fd/", i)));
    // Closed by the program.
    if (absl::IsNotFound(target.status())) continue;
    PINION_RETURN_IF_ERROR(target.status());
    metadata.stdio[i] = *std::move(target);
  }
  return metadata;
}

// Before the container is stopped for it.
absl::Status CheckLocation(const std::string& location) {
  struct stat st = {};
  if (stat(location.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("location ", location, " is a directory"));
  }
  const std::string directory = location.substr(0, location.rfind('/') + 1);
  if (stat(directory.c_str(), &st) == 0) return absl::OkStatus();
  return os::ErrnoStatus(absl::StrCat("directory of location ", directory));
}

// Its pid has not been given to another process meanwhile.
absl::Status CheckAlive(const state::ContainerRecord& record) {
  const auto ticks = os::ProcessStartTicks(record.pid());
  if (ticks.ok() && *ticks == record.pid_start_ticks()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("container ", record.id(), " is not running"));
}

absl::Status MakeCheckpoint(Context& context, const Container& container,
                            const std::string& criu,
                            const std::string& location,
                            std::chrono::steady_clock::time_point deadline) {
  const auto record = container.record.Get();
  const auto pod = container.pod->record.Get();
  PINION_ASSIGN_OR_RETURN(const ContainerPlan plan,
                          PlanContainer(context, *pod, *record));
  PINION_ASSIGN_OR_RETURN(const WorkDir work,
                          WorkDir::Create(context, container.id));
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd diff,
                          work.Open("rootfs-diff.tar", O_CREAT | O_RDWR));
  PINION_ASSIGN_OR_RETURN(
      const os::UniqueFd upper,
      os::OpenAt(context.containers_dir.get(), container.id + "/upper",
                 O_RDONLY | O_DIRECTORY));

  checkpoint::DumpRun run;
  run.criu = criu;
  run.command.pid = record->pid();
  run.command.images_dir = work.ImagesDir();
  PINION_ASSIGN_OR_RETURN(run.command.mounts,
                          ExternalMounts(*record, plan.launch));
  run.namespaces_pid = pod->monitor_pid();
  run.namespaces_start_ticks = pod->monitor_start_ticks();
  run.deadline = deadline;
  PINION_ASSIGN_OR_RETURN(const checkpoint::Metadata metadata,
                          MetadataOf(*pod, *record, plan.launch));
  run.while_stopped = [&] {
    return checkpoint::WriteRootDiff(upper.get(), diff.get(), deadline);
  };
  PINION_RETURN_IF_ERROR(CheckAlive(*record));
  PINION_RETURN_IF_ERROR(checkpoint::Dump(run));

  PINION_ASSIGN_OR_RETURN(const os::UniqueFd images,
                          work.Open("images", O_RDONLY | O_DIRECTORY));
  checkpoint::ArchiveParts parts;
  parts.documents = checkpoint::ToDocuments(metadata);
  parts.images_dir = images.get();
  parts.root_diff = diff.get();
  return checkpoint::WriteArchive(parts, location);
}

}  // namespace

absl::Status CheckpointContainer(Context& context, const std::string& id,
                                 const std::string& location,
                                 std::chrono::seconds timeout) {
  if (timeout == std::chrono::seconds::zero()) timeout = kDefaultTimeout;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  PINION_ASSIGN_OR_RETURN(const ContainerPtr container,
                          context.objects.FindContainer(id));
  const auto record = container->record.Get();
  if (record->state() != state::CONTAINER_RUNNING) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", container->id, " is not running"));
  }
  PINION_ASSIGN_OR_RETURN(const std::string criu, checkpoint::FindCriu());
  PINION_RETURN_IF_ERROR(CheckCheckpointable(record->spec()));
  PINION_RETURN_IF_ERROR(CheckLocation(location));
  const Turn turn(*container);
  if (!turn.mine()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a checkpoint of container ", container->id, " is under way"));
  }
  absl::Status status =
      MakeCheckpoint(context, *container, criu, location, deadline);
  // What was not found is something of the container's, which has ended.
  if (absl::IsNotFound(status)) {
    status = absl::FailedPreconditionError(status.message());
  }
  return Annotate(status, absl::StrCat("checkpoint ", container->id));
}

void RemoveCheckpointLeftovers(Context& context) {
  const absl::Status status =
      os::RemoveTreeAt(context.root_dir.get(), kWorkDir);
  if (!status.ok()) {
    Log(LogLevel::kError, "an interrupted checkpoint was not removed",
        {{"error", status.ToString()}});
  }
}

}  // namespace pinion::runtime
