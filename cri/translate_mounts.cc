#include "cri/translate_mounts.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/translate_ids.h"

namespace pinion::cri {
namespace {

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
  if (in.has_image() || !in.image_sub_path().empty()) {
    return absl::UnimplementedError(
        absl::StrCat("ImageVolumeMountFailed: ", field.ToString(),
                     ".image: image volumes are not supported yet"));
  }
  if (in.recursive_read_only() &&
      (!in.readonly() || in.propagation() != api::PROPAGATION_PRIVATE)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "RROUnsupported: ", field.ToString(),
        ".recursive_read_only: needs readonly and PROPAGATION_PRIVATE"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<state::Mount> ToMount(const Field& field, const api::Mount& in) {
  const Field inside = field.Sub("container_path");
  PINION_RETURN_IF_ERROR(CheckAbsolutePath(inside, in.container_path()));
  if (in.container_path().find_first_not_of("/.") == std::string::npos) {
    return Refuse(inside, in.container_path(), "must not be the root");
  }
  PINION_RETURN_IF_ERROR(CheckSupported(field, in));
  PINION_RETURN_IF_ERROR(
      CheckAbsolutePath(field.Sub("host_path"), in.host_path()));
  PINION_ASSIGN_OR_RETURN(
      const auto propagation,
      ToPropagation(field.Sub("propagation"), in.propagation()));

  state::Mount out;
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
