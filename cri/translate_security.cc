#include "cri/translate_security.h"

#include <algorithm>
#include <string>

#include "base/status_macros.h"
#include "cri/translate_namespaces.h"
#include "cri/translate_profile.h"

namespace pinion::cri {
namespace {

// NGROUPS_MAX.
constexpr int kMaxGroups = 65536;
constexpr int kMaxPaths = 4096;
// Of a list of capabilities; the kernel has 41.
constexpr int kMaxCapabilities = 256;

using Strings = google::protobuf::RepeatedPtrField<std::string>;

template <typename Ids>
absl::Status CheckGroups(const Field& field, const Ids& ids) {
  if (ids.size() > kMaxGroups) {
    return Refuse(field, ids.size(), "are more groups than the kernel takes");
  }
  for (int i = 0; i < ids.size(); ++i) {
    PINION_RETURN_IF_ERROR(CheckUnixId(field.At(i), ids[i]));
  }
  return absl::OkStatus();
}

absl::Status CheckGroupsPolicy(const Field& field,
                               api::SupplementalGroupsPolicy policy) {
  if (api::SupplementalGroupsPolicy_IsValid(policy)) return absl::OkStatus();
  return Refuse(field, static_cast<int64_t>(policy),
                "is no supplemental groups policy of the CRI");
}

absl::Status SetUser(const Field& field,
                     const api::LinuxContainerSecurityContext& in,
                     state::ContainerSecurity& out) {
  if (in.has_run_as_user() && !in.run_as_username().empty()) {
    return Refuse(field.Sub("run_as_username"), in.run_as_username(),
                  "excludes run_as_user");
  }
  if (in.has_run_as_user()) {
    PINION_RETURN_IF_ERROR(
        CheckUnixId(field.Sub("run_as_user"), in.run_as_user().value()));
    out.set_run_as_user(in.run_as_user().value());
  }
  // LOGIN_NAME_MAX is 256; ':' and '\n' separate the fields of passwd(5).
  const Field name = field.Sub("run_as_username");
  PINION_RETURN_IF_ERROR(CheckLine(name, in.run_as_username(), 256));
  if (in.run_as_username().find(':') != std::string::npos) {
    return Refuse(name, in.run_as_username(), "must not hold ':'");
  }
  out.set_run_as_username(in.run_as_username());
  if (in.has_run_as_group()) {
    const Field group = field.Sub("run_as_group");
    if (!in.has_run_as_user() && in.run_as_username().empty()) {
      return Refuse(group, in.run_as_group().value(),
                    "needs run_as_user or run_as_username");
    }
    PINION_RETURN_IF_ERROR(CheckUnixId(group, in.run_as_group().value()));
    out.set_run_as_group(in.run_as_group().value());
  }
  PINION_RETURN_IF_ERROR(
      CheckGroups(field.Sub("supplemental_groups"), in.supplemental_groups()));
  *out.mutable_supplemental_groups() = in.supplemental_groups();
  PINION_RETURN_IF_ERROR(
      CheckGroupsPolicy(field.Sub("supplemental_groups_policy"),
                        in.supplemental_groups_policy()));
  out.set_strict_supplemental_groups(in.supplemental_groups_policy() ==
                                     api::Strict);
  return absl::OkStatus();
}

// "ALL", "NET_ADMIN", "CAP_NET_ADMIN": whether the kernel knows it is for the
// one who applies it.
absl::Status CheckCapabilities(const Field& field, const Strings& names) {
  if (names.size() > kMaxCapabilities) {
    return Refuse(field, names.size(), "are too many capabilities");
  }
  for (int i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    const bool charset = std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    });
    if (!charset || name.empty() || name.size() > 64) {
      return Refuse(field.At(i), name, "must be a capability or ALL");
    }
  }
  return absl::OkStatus();
}

absl::Status SetCapabilities(const Field& field, const api::Capability& in,
                             state::ContainerSecurity& out) {
  const Field add = field.Sub("add_capabilities");
  const Field drop = field.Sub("drop_capabilities");
  const Field ambient = field.Sub("add_ambient_capabilities");
  PINION_RETURN_IF_ERROR(CheckCapabilities(add, in.add_capabilities()));
  PINION_RETURN_IF_ERROR(CheckCapabilities(drop, in.drop_capabilities()));
  PINION_RETURN_IF_ERROR(
      CheckCapabilities(ambient, in.add_ambient_capabilities()));
  *out.mutable_add_capabilities() = in.add_capabilities();
  *out.mutable_drop_capabilities() = in.drop_capabilities();
  *out.mutable_add_ambient_capabilities() = in.add_ambient_capabilities();
  return absl::OkStatus();
}

absl::Status CheckPaths(const Field& field, const Strings& paths) {
  if (paths.size() > kMaxPaths) {
    return Refuse(field, paths.size(), "are too many paths");
  }
  for (int i = 0; i < paths.size(); ++i) {
    PINION_RETURN_IF_ERROR(CheckAbsolutePath(field.At(i), paths[i]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSandboxSecurity(const Field& field,
                                  const api::LinuxSandboxSecurityContext& in) {
  if (in.has_run_as_user()) {
    PINION_RETURN_IF_ERROR(
        CheckUnixId(field.Sub("run_as_user"), in.run_as_user().value()));
  }
  if (in.has_run_as_group()) {
    const Field group = field.Sub("run_as_group");
    if (!in.has_run_as_user()) {
      return Refuse(group, in.run_as_group().value(), "needs run_as_user");
    }
    PINION_RETURN_IF_ERROR(CheckUnixId(group, in.run_as_group().value()));
  }
  PINION_RETURN_IF_ERROR(
      CheckGroups(field.Sub("supplemental_groups"), in.supplemental_groups()));
  PINION_RETURN_IF_ERROR(
      CheckGroupsPolicy(field.Sub("supplemental_groups_policy"),
                        in.supplemental_groups_policy()));
  return CheckSandboxProfiles(field, in);
}

absl::StatusOr<state::ContainerSecurity> ToContainerSecurity(
    const Field& field, const api::LinuxContainerSecurityContext& in) {
  state::ContainerSecurity out;
  out.set_privileged(in.privileged());
  PINION_RETURN_IF_ERROR(
      SetCapabilities(field.Sub("capabilities"), in.capabilities(), out));
  PINION_ASSIGN_OR_RETURN(*out.mutable_namespaces(),
                          ToContainerNamespaces(field.Sub("namespace_options"),
                                                in.namespace_options()));
  PINION_RETURN_IF_ERROR(SetUser(field, in, out));
  PINION_RETURN_IF_ERROR(SetProfiles(field, in, &out));
  PINION_RETURN_IF_ERROR(
      CheckPaths(field.Sub("masked_paths"), in.masked_paths()));
  PINION_RETURN_IF_ERROR(
      CheckPaths(field.Sub("readonly_paths"), in.readonly_paths()));
  *out.mutable_masked_paths() = in.masked_paths();
  *out.mutable_readonly_paths() = in.readonly_paths();
  out.set_readonly_rootfs(in.readonly_rootfs());
  out.set_no_new_privs(in.no_new_privs());
  return out;
}

}  // namespace pinion::cri
