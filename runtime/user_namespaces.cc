#include "runtime/user_namespaces.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::runtime {
namespace {

bool Equal(const IdMappings& a, const IdMappings& b) {
  if (a.size() != b.size()) return false;
  for (int i = 0; i < a.size(); ++i) {
    if (a[i].container_id() != b[i].container_id() ||
        a[i].host_id() != b[i].host_id() || a[i].length() != b[i].length()) {
      return false;
    }
  }
  return true;
}

bool Equal(const state::UserNamespace& a, const state::UserNamespace& b) {
  return Equal(a.uids(), b.uids()) && Equal(a.gids(), b.gids());
}

absl::Status CheckId(const IdMappings& mappings, const char* what, int64_t id) {
  if (HostId(mappings, id)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, " ", id, " is not mapped in the pod's user namespace"));
}

absl::Status CheckDevicePath(const std::string& path) {
  if (absl::StartsWith(path, "/dev/") &&
      !absl::StrContains(absl::StrCat(path, "/"), "/../")) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("device ", path,
                   ": in a pod with a user namespace devices are below /dev"));
}

}  // namespace

std::string IdMapText(const IdMappings& mappings) {
  std::string text;
  for (const state::IdMapping& m : mappings) {
    absl::StrAppend(&text, m.container_id(), " ", m.host_id(), " ", m.length(),
                    "\n");
  }
  return text;
}

std::optional<uint32_t> HostId(const IdMappings& mappings, int64_t id) {
  for (const state::IdMapping& m : mappings) {
    if (id >= m.container_id() && id - m.container_id() < m.length()) {
      return m.host_id() + static_cast<uint32_t>(id - m.container_id());
    }
  }
  return std::nullopt;
}

absl::Status CheckPodUserNamespace(const state::PodSpec& spec) {
  const state::Namespaces& namespaces = spec.namespaces();
  if (!namespaces.has_user_namespace()) return absl::OkStatus();
  if (namespaces.pid() == state::NAMESPACE_NODE ||
      namespaces.ipc() == state::NAMESPACE_NODE) {
    return absl::InvalidArgumentError(
        "userns_options POD excludes namespace_options.pid NODE and ipc NODE");
  }
  return absl::OkStatus();
}

absl::Status CheckContainerUserNamespace(const state::PodSpec& pod,
                                         const state::ContainerSpec& spec) {
  const state::Namespaces& own = spec.security().namespaces();
  const bool has = pod.namespaces().has_user_namespace();
  const state::UserNamespace& of_pod = pod.namespaces().user_namespace();
  if (own.has_user_namespace() &&
      !(has && Equal(own.user_namespace(), of_pod))) {
    return absl::InvalidArgumentError(
        "namespace_options.userns_options must be those of the sandbox");
  }
  for (const state::Mount& mount : spec.mounts()) {
    if (mount.uid_mappings().empty() && mount.gid_mappings().empty()) continue;
    if (!has || !Equal(mount.uid_mappings(), of_pod.uids()) ||
        !Equal(mount.gid_mappings(), of_pod.gids())) {
      return absl::InvalidArgumentError(
          absl::StrCat("mount ", mount.container_path(),
                       ": uidMappings and gidMappings must be those of the "
                       "sandbox's user namespace"));
    }
  }
  if (!has) return absl::OkStatus();
  if (own.pid() == state::NAMESPACE_NODE) {
    return absl::InvalidArgumentError(
        "namespace_options.pid NODE is not for a pod with a user namespace");
  }
  for (const state::Device& device : spec.devices()) {
    const std::string& path = device.container_path().empty()
                                  ? device.host_path()
                                  : device.container_path();
    PINION_RETURN_IF_ERROR(CheckDevicePath(path));
  }
  return absl::OkStatus();
}

absl::Status CheckMapped(const state::ContainerRecord& container) {
  const state::Namespaces& namespaces =
      container.spec().security().namespaces();
  if (!namespaces.has_user_namespace()) return absl::OkStatus();
  const state::UserNamespace& mapped = namespaces.user_namespace();
  const state::User& user = container.user();
  PINION_RETURN_IF_ERROR(CheckId(mapped.uids(), "uid", user.uid()));
  PINION_RETURN_IF_ERROR(CheckId(mapped.gids(), "gid", user.gid()));
  for (const int64_t group : user.supplemental_groups()) {
    PINION_RETURN_IF_ERROR(CheckId(mapped.gids(), "group", group));
  }
  for (const state::CdiNode& node : container.cdi_nodes()) {
    PINION_RETURN_IF_ERROR(CheckDevicePath(node.path()));
    PINION_RETURN_IF_ERROR(CheckId(mapped.uids(), "uid", node.uid()));
    PINION_RETURN_IF_ERROR(CheckId(mapped.gids(), "gid", node.gid()));
  }
  return absl::OkStatus();
}

launch::UserNamespace LaunchUserNamespace(
    const state::ContainerRecord& container, const state::Namespaces& pod) {
  launch::UserNamespace result;
  if (!pod.has_user_namespace()) return result;
  const state::UserNamespace& mapped = pod.user_namespace();
  result.enabled = true;
  result.root_uid = HostId(mapped.uids(), 0).value_or(0);
  result.root_gid = HostId(mapped.gids(), 0).value_or(0);
  result.stdio_uid =
      HostId(mapped.uids(), container.user().uid()).value_or(result.root_uid);
  result.host_sysfs = pod.network() == state::NAMESPACE_NODE;
  return result;
}

}  // namespace pinion::runtime
