#include "runtime/cdi.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "runtime/container_plan.h"
#include "runtime/plan/cdi_devices.h"
#include "runtime/user_namespaces.h"

namespace pinion::runtime {
namespace {

using Propagation = plan::CdiMount::Propagation;

// What OCI runtimes make devices with that say nothing of it.
constexpr uint32_t kDefaultMode = 0666;

void AddEnv(const std::string& entry, state::ContainerRecord& record) {
  const std::string key = entry.substr(0, entry.find('=') + 1);
  for (std::string& existing : *record.mutable_env()) {
    if (absl::StartsWith(existing, key)) {
      existing = entry;
      return;
    }
  }
  record.add_env(entry);
}

void AddGroup(uint32_t gid, state::User& user) {
  const auto& groups = user.supplemental_groups();
  if (std::find(groups.begin(), groups.end(), gid) == groups.end()) {
    user.add_supplemental_groups(gid);
  }
}

absl::Status Missing(const std::string& what, const std::string& path,
                     const std::string& why) {
  return absl::FailedPreconditionError(
      absl::StrCat("CDI ", what, " ", path, ": ", why));
}

absl::Status AddNode(const plan::CdiNode& in, state::ContainerRecord& record) {
  state::CdiNode out;
  out.set_path(in.path);
  out.set_type(std::string(1, in.type));
  if (!in.major.has_value()) {
    const std::string& source = in.host_path.empty() ? in.path : in.host_path;
    struct stat st = {};
    if (stat(source.c_str(), &st) != 0) {
      return Missing("device", source, os::ErrnoName(errno));
    }
    const char type = S_ISCHR(st.st_mode) ? 'c' : S_ISBLK(st.st_mode) ? 'b' : 0;
    if (type == 0 || (in.type != 0 && in.type != type)) {
      return Missing("device", source, "is not of that type");
    }
    out.set_type(std::string(1, type));
    out.set_device_major(major(st.st_rdev));
    out.set_device_minor(minor(st.st_rdev));
  } else {
    out.set_device_major(*in.major);
    out.set_device_minor(*in.minor);
  }
  out.set_mode(in.mode.value_or(kDefaultMode) & 0777);
  // A device without an owner is the container's user's.
  out.set_uid(in.uid.value_or(static_cast<uint32_t>(record.user().uid())));
  out.set_gid(in.gid.value_or(static_cast<uint32_t>(record.user().gid())));
  out.set_permissions(in.permissions);
  *record.add_cdi_nodes() = std::move(out);
  return absl::OkStatus();
}

absl::Status AddMount(const plan::CdiMount& in,
                      state::ContainerRecord& record) {
  struct stat st = {};
  if (stat(in.host_path.c_str(), &st) != 0) {
    return Missing("mount source", in.host_path, os::ErrnoName(errno));
  }
  state::CdiMount* out = record.add_cdi_mounts();
  out->set_host_path(in.host_path);
  out->set_container_path(in.container_path);
  out->set_readonly(in.readonly);
  out->set_nosuid(in.nosuid);
  out->set_nodev(in.nodev);
  out->set_noexec(in.noexec);
  switch (in.propagation) {
    case Propagation::kPrivate:
      out->set_propagation(state::PROPAGATION_PRIVATE);
      break;
    case Propagation::kSlave:
      out->set_propagation(state::PROPAGATION_HOST_TO_CONTAINER);
      break;
    case Propagation::kShared:
      out->set_propagation(state::PROPAGATION_BIDIRECTIONAL);
      break;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyCdiDevices(const std::vector<std::string>& spec_dirs,
                             state::ContainerRecord& record) {
  const auto& names = record.spec().cdi_devices();
  PINION_ASSIGN_OR_RETURN(
      const plan::CdiEdits edits,
      plan::FindCdiDevices(spec_dirs, {names.begin(), names.end()}));
  for (const std::string& entry : edits.env) AddEnv(entry, record);
  for (const uint32_t gid : edits.gids) AddGroup(gid, *record.mutable_user());
  for (const plan::CdiNode& node : edits.nodes) {
    PINION_RETURN_IF_ERROR(AddNode(node, record));
  }
  for (const plan::CdiMount& mount : edits.mounts) {
    PINION_RETURN_IF_ERROR(AddMount(mount, record));
  }
  return absl::OkStatus();
}

void AddCdiNodes(const state::ContainerRecord& record, plan::DeviceSet& set) {
  const state::UserNamespace& mapped =
      record.spec().security().namespaces().user_namespace();
  for (const state::CdiNode& in : record.cdi_nodes()) {
    launch::DeviceNode node;
    node.path = in.path();
    node.type = in.type()[0];
    node.major = in.device_major();
    node.minor = in.device_minor();
    node.mode = static_cast<mode_t>(in.mode());
    // The nodes are made with the host's ids, their owners are the container's.
    node.uid = HostId(mapped.uids(), in.uid()).value_or(in.uid());
    node.gid = HostId(mapped.gids(), in.gid()).value_or(in.gid());
    plan::AddDevice(node, in.permissions(), set);
  }
}

void AddCdiMounts(const state::ContainerRecord& record,
                  launch::LaunchSpec& launch) {
  for (const state::CdiMount& in : record.cdi_mounts()) {
    launch::BindMount bind;
    bind.source = in.host_path();
    bind.target = in.container_path();
    bind.readonly = in.readonly();
    bind.nosuid = in.nosuid();
    bind.nodev = in.nodev();
    bind.noexec = in.noexec();
    bind.propagation = ToPropagation(in.propagation());
    launch.mounts.push_back(std::move(bind));
  }
}

}  // namespace pinion::runtime
