#include "cri/translate_mounts.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/translate_ids.h"

namespace pinion::cri {
namespace {

constexpr size_t kMaxReference = 4096;

absl::StatusOr<state::MountPropagation> ToPropagation(
    const Field& field, api::MountPropagation propagation) {
  switch (propagation) {
    case api::PROPAGATION_PRIVATE:
      return state::PROPAGATION_PRIVATE;
    case api::PROPAGATION_HOST_TO_CONTAINER:
      return state::PROPAGATION_HOST_TO_CONTAINER;
    case api::PROPAGATION_BIDIRECTIONAL:
      return state::PROPAGATION_BIDIRECTIONAL;
    default:
      return Refuse(field, static_cast<int64_t>(propagation),
                    "is no mount propagation of the CRI");
  }
}

api::MountPropagation FromPropagation(state::MountPropagation propagation) {
  switch (propagation) {
    case state::PROPAGATION_HOST_TO_CONTAINER:
      return api::PROPAGATION_HOST_TO_CONTAINER;
    case state::PROPAGATION_BIDIRECTIONAL:
      return api::PROPAGATION_BIDIRECTIONAL;
    default:
      return api::PROPAGATION_PRIVATE;
  }
}

absl::Status CheckSupported(const Field& field, const api::Mount& in) {
  if (in.recursive_read_only() &&
      (!in.readonly() || in.propagation() != api::PROPAGATION_PRIVATE)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "RROUnsupported: ", field.ToString(),
        ".recursive_read_only: needs readonly and PROPAGATION_PRIVATE"));
  }
  return absl::OkStatus();
}

// "ImageVolumeMountFailed" is what the kubelet looks for.
absl::Status RefuseImage(const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("ImageVolumeMountFailed: ",
                                                  status.message()));
}

absl::Status SetImage(const Field& field, const api::Mount& in,
                      state::ImageVolume& out) {
  const Field image = field.Sub("image");
  if (in.image().image().empty()) {
    return RefuseImage(RefuseField(image.Sub("image"), "must be set"));
  }
  PINION_RETURN_IF_ERROR(RefuseImage(
      CheckLine(image.Sub("image"), in.image().image(), kMaxReference)));
  if (!in.host_path().empty()) {
    return RefuseImage(
        Refuse(field.Sub("host_path"), in.host_path(), "excludes image"));
  }
  if (in.propagation() != api::PROPAGATION_PRIVATE) {
    return RefuseImage(
        RefuseField(field.Sub("propagation"), "must be private for an image"));
  }
  if (!in.image_sub_path().empty()) {
    PINION_RETURN_IF_ERROR(RefuseImage(
        CheckRelativePath(field.Sub("image_sub_path"), in.image_sub_path())));
  }
  out.set_image(in.image().image());
  out.set_user_specified_image(in.image().user_specified_image());
  out.set_runtime_handler(in.image().runtime_handler());
  *out.mutable_annotations() = in.image().annotations();
  out.set_sub_path(in.image_sub_path());
  return absl::OkStatus();
}

void FromImage(const state::ImageVolume& in, api::Mount* out) {
  api::ImageSpec& image = *out->mutable_image();
  image.set_image(in.image());
  image.set_user_specified_image(in.user_specified_image());
  image.set_runtime_handler(in.runtime_handler());
  *image.mutable_annotations() = in.annotations();
  out->set_image_sub_path(in.sub_path());
}

}  // namespace

absl::StatusOr<state::Mount> ToMount(const Field& field, const api::Mount& in) {
  const Field inside = field.Sub("container_path");
  PINION_RETURN_IF_ERROR(CheckAbsolutePath(inside, in.container_path()));
  if (in.container_path().find_first_not_of("/.") == std::string::npos) {
    return Refuse(inside, in.container_path(), "must not be the root");
  }
  if (HasDotDot(in.container_path())) {
    return Refuse(inside, in.container_path(), "must not contain \"..\"");
  }
  PINION_RETURN_IF_ERROR(CheckSupported(field, in));
  state::Mount out;
  if (in.has_image() || !in.image_sub_path().empty()) {
    PINION_RETURN_IF_ERROR(SetImage(field, in, *out.mutable_image()));
  } else {
    PINION_RETURN_IF_ERROR(
        CheckAbsolutePath(field.Sub("host_path"), in.host_path()));
  }
  PINION_ASSIGN_OR_RETURN(
      const auto propagation,
      ToPropagation(field.Sub("propagation"), in.propagation()));

  out.set_container_path(in.container_path());
  out.set_host_path(in.host_path());
  out.set_readonly(in.readonly());
  out.set_recursive_read_only(in.recursive_read_only());
  out.set_propagation(propagation);
  out.set_selinux_relabel(in.selinux_relabel());
  PINION_RETURN_IF_ERROR(ToIdMappings(field.Sub("uidMappings"),
                                      in.uidmappings(), false,
                                      out.mutable_uid_mappings()));
  PINION_RETURN_IF_ERROR(ToIdMappings(field.Sub("gidMappings"),
                                      in.gidmappings(), false,
                                      out.mutable_gid_mappings()));
  return out;
}

void FromMount(const state::Mount& in, api::Mount* out) {
  out->set_container_path(in.container_path());
  out->set_host_path(in.host_path());
  out->set_readonly(in.readonly());
  out->set_recursive_read_only(in.recursive_read_only());
  out->set_propagation(FromPropagation(in.propagation()));
  out->set_selinux_relabel(in.selinux_relabel());
  if (in.has_image()) FromImage(in.image(), out);
  FromIdMappings(in.uid_mappings(), out->mutable_uidmappings());
  FromIdMappings(in.gid_mappings(), out->mutable_gidmappings());
}

absl::StatusOr<state::Device> ToDevice(const Field& field,
                                       const api::Device& in) {
  PINION_RETURN_IF_ERROR(
      CheckAbsolutePath(field.Sub("container_path"), in.container_path()));
  PINION_RETURN_IF_ERROR(
      CheckAbsolutePath(field.Sub("host_path"), in.host_path()));
  const std::string& permissions = in.permissions();
  bool valid = !permissions.empty();
  for (size_t i = 0; i < permissions.size(); ++i) {
    const char c = permissions[i];
    valid =
        valid && (c == 'r' || c == 'w' || c == 'm') && permissions.find(c) == i;
  }
  if (!valid) {
    return Refuse(field.Sub("permissions"), permissions,
                  "must be one or more of r, w and m");
  }
  state::Device out;
  out.set_container_path(in.container_path());
  out.set_host_path(in.host_path());
  out.set_permissions(permissions);
  return out;
}

}  // namespace pinion::cri
