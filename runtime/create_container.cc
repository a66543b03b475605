// CreateContainer: everything that can be known before the process runs is
// resolved and checked here; nothing is left to fail but the kernel.

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/container_plan.h"
#include "runtime/image_volumes.h"
#include "runtime/operations.h"
#include "runtime/restore_container.h"
#include "runtime/rollback.h"

namespace pinion::runtime {
namespace {

// The root directory that the container sees is the writable layer's, so it
// gets owner and mode of the image's.
absl::Status MakeWritableLayer(Context& context, const std::string& id,
                               const image::ImageInfo& image) {
  struct stat st = {};
  st.st_mode = 0755;
  if (!image.layer_dirs.empty()) {
    const std::string& top = image.root_layer_dir.empty()
                                 ? image.layer_dirs.front()
                                 : image.root_layer_dir;
    if (fstatat(context.root_dir.get(), top.c_str(), &st, 0) != 0) {
      return os::ErrnoStatus(absl::StrCat("stat ", top));
    }
  }
  return context.writable_layers->Make(id, st);
}

// What the start would wait for, behind the answer. A failure is the start's
// to find and to report.
void MountRootBehind(Context& context, const ContainerPtr& container) {
  const auto monitor = container->pod->Monitor();
  if (monitor != nullptr && monitor->TakesRoot() &&
      MountsRootAhead(context, *container->record.Get())) {
    container->root.Expect();
  }
  context.work->Add([&context, container] {
    const absl::Status status = container->root.Make([&context, &container] {
      return MountRoot(context, *container->record.Get());
    });
    if (!status.ok()) {
      Log(LogLevel::kDebug, "a root was not mounted ahead",
          {{"container", container->id}, {"error", status.ToString()}});
    }
    context.writable_layers->Refill();
  });
}

// The image that is asked for, or that the checkpoint stands on.
absl::StatusOr<image::ImageInfo> HoldImage(
    Context& context, const state::ContainerSpec& spec,
    const std::optional<OpenCheckpoint>& checkpoint, const std::string& id) {
  if (!checkpoint.has_value()) {
    return context.deps.images->Hold(spec.image(), id);
  }
  const checkpoint::Metadata& metadata = checkpoint->metadata;
  auto image = context.deps.images->Hold(metadata.image_id, id);
  if (image.ok()) return image;
  return Annotate(
      image.status(),
      absl::StrCat("the image below the checkpoint, ", metadata.image_name,
                   " (", metadata.image_ref, ")"));
}

absl::StatusOr<std::string> CreateLocked(Context& context, const PodPtr& pod,
                                         const state::ContainerSpec& spec)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(pod->operation) {
  const auto pod_record = pod->record.Get();
  if (pod_record->state() != state::POD_READY) {
    return absl::FailedPreconditionError(
        absl::StrCat("pod sandbox ", pod->id, " is not ready"));
  }
  PINION_RETURN_IF_ERROR(
      context.deps.container_cgroups->Check(spec.resources()));

  PhaseTimer phases(context.instruments);
  phases.Next("image");
  const std::string id = NewId();
  Rollback rollback;
  rollback.Add([&context, &id] { context.deps.images->Release(id); });
  std::optional<OpenCheckpoint> checkpoint;
  if (IsCheckpoint(spec)) {
    PINION_ASSIGN_OR_RETURN(checkpoint, OpenCheckpointAt(spec.image()));
  }
  PINION_ASSIGN_OR_RETURN(const image::ImageInfo image,
                          HoldImage(context, spec, checkpoint, id));
  state::ContainerSpec with_layers = spec;
  PINION_RETURN_IF_ERROR(ResolveImageVolumes(context, id, with_layers));
  phases.Next("resolve");
  PINION_ASSIGN_OR_RETURN(
      state::ContainerRecord record,
      ResolveContainer(context, *pod_record, with_layers, image, id));
  if (checkpoint.has_value()) {
    PINION_RETURN_IF_ERROR(
        CheckRequest(context, *pod_record, record, checkpoint->metadata));
    for (const std::string& name : checkpoint->metadata.stdio) {
      record.mutable_restore()->add_stdio(name);
    }
  }
  rollback.Add([&context, &id] { ForgetCpus(context, id); });
  PINION_RETURN_IF_ERROR(ClaimCpus(context, *pod_record, record));
  phases.Next("rootfs");
  rollback.Add([&context, &id] {
    const absl::Status status =
        os::RemoveTreeAt(context.containers_dir.get(), id);
    const absl::Status deleted = context.records->DeleteContainer(id);
    if (!status.ok() || !deleted.ok()) {
      Log(LogLevel::kError, "a failed container was not undone completely",
          {{"container", id},
           {"error", status.ok() ? deleted.ToString() : status.ToString()}});
    }
  });
  PINION_RETURN_IF_ERROR(context.records->Save(record));
  PINION_RETURN_IF_ERROR(MakeWritableLayer(context, id, image));
  if (checkpoint.has_value()) {
    PINION_RETURN_IF_ERROR(UnpackCheckpoint(context, id, *checkpoint));
  }
  for (const state::Phase& phase : phases.Finish()) {
    *record.add_phases() = phase;
  }
  const auto container = std::make_shared<Container>(pod, std::move(record));
  context.objects.Add(container);
  rollback.Commit();
  MountRootBehind(context, container);
  PublishEvent(context, EventKind::kCreated, *pod, id);
  return id;
}

absl::StatusOr<std::string> CreateOnce(Context& context, const PodPtr& pod,
                                       const state::ContainerSpec& spec) {
  const absl::MutexLock lock(&pod->operation);
  const ContainerPtr existing =
      context.objects.FindContainerByIdentity(IdentityOf(pod->id, spec));
  if (existing != nullptr) {
    // The answer to the first attempt was lost: this is the same request.
    if (existing->record.Get()->state() == state::CONTAINER_CREATED) {
      return existing->id;
    }
    return absl::AlreadyExistsError(absl::StrCat(
        "container ", spec.name(), " attempt ", spec.attempt(),
        " has been started already in this pod as ", existing->id));
  }
  return CreateLocked(context, pod, spec);
}

}  // namespace

absl::StatusOr<std::string> CreateContainer(Context& context,
                                            const std::string& pod_id,
                                            const state::ContainerSpec& spec) {
  PINION_ASSIGN_OR_RETURN(const PodPtr pod, context.objects.FindPod(pod_id));
  return context.joins.Run(
      "container " + IdentityOf(pod->id, spec),
      [&context, &pod, &spec] { return CreateOnce(context, pod, spec); });
}

}  // namespace pinion::runtime
