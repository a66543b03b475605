#include "cri/translate_namespaces.h"

#include "base/status_macros.h"
#include "cri/translate_ids.h"

namespace pinion::cri {
namespace {

absl::StatusOr<state::NamespaceMode> ToMode(const Field& field,
                                            api::NamespaceMode mode) {
  switch (mode) {
    case api::POD:
      return state::NAMESPACE_POD;
    case api::CONTAINER:
      return state::NAMESPACE_CONTAINER;
    case api::NODE:
      return state::NAMESPACE_NODE;
    case api::TARGET:
      return state::NAMESPACE_TARGET;
    default:
      return Refuse(field, static_cast<int64_t>(mode),
                    "is no namespace mode of the CRI");
  }
}

absl::StatusOr<state::NamespaceMode> ToSharedMode(const Field& field,
                                                  api::NamespaceMode mode) {
  PINION_ASSIGN_OR_RETURN(const state::NamespaceMode out, ToMode(field, mode));
  if (out != state::NAMESPACE_POD && out != state::NAMESPACE_NODE) {
    return Refuse(field, api::NamespaceMode_Name(mode),
                  "must be POD or NODE for this namespace");
  }
  return out;
}

absl::Status SetUserNamespace(const Field& field,
                              const api::NamespaceOption& in,
                              state::Namespaces& out) {
  if (!in.has_userns_options()) return absl::OkStatus();
  const Field options = field.Sub("userns_options");
  const api::UserNamespace& userns = in.userns_options();
  if (userns.mode() == api::POD) {
    state::UserNamespace& mapped = *out.mutable_user_namespace();
    PINION_RETURN_IF_ERROR(ToIdMappings(options.Sub("uids"), userns.uids(),
                                        true, mapped.mutable_uids()));
    return ToIdMappings(options.Sub("gids"), userns.gids(), true,
                        mapped.mutable_gids());
  }
  if (userns.mode() != api::NODE) {
    return Refuse(options.Sub("mode"), static_cast<int64_t>(userns.mode()),
                  "must be POD or NODE");
  }
  if (userns.uids_size() != 0 || userns.gids_size() != 0) {
    return RefuseField(options, "mode NODE takes no mappings");
  }
  return absl::OkStatus();
}

absl::StatusOr<state::Namespaces> ToNamespaces(const Field& field,
                                               const api::NamespaceOption& in,
                                               bool target_allowed) {
  state::Namespaces out;
  PINION_RETURN_IF_ERROR(SetUserNamespace(field, in, out));
  PINION_ASSIGN_OR_RETURN(const auto network,
                          ToSharedMode(field.Sub("network"), in.network()));
  PINION_ASSIGN_OR_RETURN(const auto ipc,
                          ToSharedMode(field.Sub("ipc"), in.ipc()));
  PINION_ASSIGN_OR_RETURN(const auto pid, ToMode(field.Sub("pid"), in.pid()));
  if (pid == state::NAMESPACE_TARGET) {
    if (!target_allowed) {
      return Refuse(field.Sub("pid"), "TARGET",
                    "must be POD, CONTAINER or NODE for a sandbox");
    }
    PINION_RETURN_IF_ERROR(
        CheckObjectId(field.Sub("target_id"), in.target_id()));
    out.set_target_id(in.target_id());
  } else if (!in.target_id().empty()) {
    return Refuse(field.Sub("target_id"), in.target_id(),
                  "is only for the pid mode TARGET");
  }
  out.set_network(network);
  out.set_ipc(ipc);
  out.set_pid(pid);
  return out;
}

api::NamespaceMode FromMode(state::NamespaceMode mode) {
  switch (mode) {
    case state::NAMESPACE_CONTAINER:
      return api::CONTAINER;
    case state::NAMESPACE_NODE:
      return api::NODE;
    case state::NAMESPACE_TARGET:
      return api::TARGET;
    default:
      return api::POD;
  }
}

}  // namespace

absl::StatusOr<state::Namespaces> ToSandboxNamespaces(
    const Field& field, const api::NamespaceOption& in) {
  return ToNamespaces(field, in, /*target_allowed=*/false);
}

absl::StatusOr<state::Namespaces> ToContainerNamespaces(
    const Field& field, const api::NamespaceOption& in) {
  return ToNamespaces(field, in, /*target_allowed=*/true);
}

void FromNamespaces(const state::Namespaces& in, api::NamespaceOption* out) {
  out->set_network(FromMode(in.network()));
  out->set_pid(FromMode(in.pid()));
  out->set_ipc(FromMode(in.ipc()));
  out->set_target_id(in.target_id());
  if (!in.has_user_namespace()) return;
  api::UserNamespace& userns = *out->mutable_userns_options();
  userns.set_mode(api::POD);
  FromIdMappings(in.user_namespace().uids(), userns.mutable_uids());
  FromIdMappings(in.user_namespace().gids(), userns.mutable_gids());
}

}  // namespace pinion::cri
