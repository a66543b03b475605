#include "runtime/image_volumes.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "runtime/plan/layer_stack.h"

namespace pinion::runtime {
namespace {

// What one page of mount options surely holds.
constexpr size_t kMostLayers = 250;

absl::Status Failed(const state::Mount& mount, const absl::Status& why) {
  return absl::Status(
      why.code(), absl::StrCat("ImageVolumeMountFailed: mount ",
                               mount.container_path(), ": ", why.message()));
}

absl::Status CheckSubPath(const Context& context, const state::Mount& mount,
                          const image::ImageInfo& image) {
  const std::string& path = mount.image().sub_path();
  if (path.empty()) return absl::OkStatus();
  std::vector<std::string> dirs;
  for (const std::string& dir : image.layer_dirs) {
    dirs.push_back(absl::StrCat(context.options.root, "/", dir));
  }
  PINION_ASSIGN_OR_RETURN(const plan::LayerStack layers,
                          plan::LayerStack::Open(dirs));
  // Whatever else it says: something is there.
  if (!absl::IsNotFound(layers.ReadFile("/" + path, 0).status())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "image_sub_path \"", path, "\" is not in image ", mount.image().image()));
}

absl::Status Resolve(Context& context, const std::string& holder,
                     state::Mount& mount) {
  PINION_ASSIGN_OR_RETURN(
      const image::ImageInfo image,
      context.deps.images->Hold(mount.image().image(), holder));
  if (image.layer_dirs.empty() || image.layer_dirs.size() > kMostLayers) {
    return absl::InvalidArgumentError(absl::StrCat(
        "image ", mount.image().image(), " has ", image.layer_dirs.size(),
        " layers; a volume may have 1 to ", kMostLayers));
  }
  mount.mutable_image()->clear_layer_dirs();
  for (const std::string& dir : image.layer_dirs) {
    mount.mutable_image()->add_layer_dirs(dir);
  }
  return CheckSubPath(context, mount, image);
}

}  // namespace

absl::Status ResolveImageVolumes(Context& context, const std::string& holder,
                                 state::ContainerSpec& spec) {
  for (state::Mount& mount : *spec.mutable_mounts()) {
    if (!mount.has_image()) continue;
    const absl::Status status = Resolve(context, holder, mount);
    if (!status.ok()) return Failed(mount, status);
  }
  return absl::OkStatus();
}

std::vector<std::string> ImageVolumeLayers(const state::ContainerSpec& spec) {
  std::vector<std::string> layers;
  for (const state::Mount& mount : spec.mounts()) {
    layers.insert(layers.end(), mount.image().layer_dirs().begin(),
                  mount.image().layer_dirs().end());
  }
  return layers;
}

}  // namespace pinion::runtime
