#include "runtime/container_plan.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "os/detached_mount.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/cdi.h"
#include "runtime/container_command.h"
#include "runtime/image_volumes.h"
#include "runtime/mount_points.h"
#include "runtime/plan/capabilities.h"
#include "runtime/plan/devices.h"
#include "runtime/plan/layer_stack.h"
#include "runtime/plan/propagation.h"
#include "runtime/plan/rootfs_defaults.h"
#include "runtime/plan/seccomp.h"
#include "runtime/plan/signals.h"
#include "runtime/plan/users.h"
#include "runtime/pod_files.h"
#include "runtime/user_namespaces.h"

namespace pinion::runtime {
namespace {

// What select(2) and old programs can live with, and what others may raise it
// to; never more than this daemon has itself.
constexpr uint64_t kOpenFilesSoft = 65536;
constexpr uint64_t kOpenFilesHard = 1048576;

absl::StatusOr<plan::ResolvedUser> ResolveUserOf(
    const Context& context, const state::ContainerSecurity& security,
    const image::ImageInfo& image) {
  plan::UserQuery query;
  query.image_user = image.config.user;
  if (security.has_run_as_user()) query.run_as_user = security.run_as_user();
  query.run_as_username = security.run_as_username();
  if (security.has_run_as_group()) query.run_as_group = security.run_as_group();
  query.supplemental_groups.assign(security.supplemental_groups().begin(),
                                   security.supplemental_groups().end());
  query.strict = security.strict_supplemental_groups();
  std::vector<std::string> dirs;
  for (const std::string& dir : image.layer_dirs) {
    dirs.push_back(absl::StrCat(context.options.root, "/", dir));
  }
  PINION_ASSIGN_OR_RETURN(const plan::LayerStack layers,
                          plan::LayerStack::Open(dirs));
  PINION_ASSIGN_OR_RETURN(const plan::AccountFiles files,
                          plan::ReadAccountFiles(layers));
  return plan::ResolveUser(query, files);
}

absl::StatusOr<int> StopSignalOf(const state::ContainerSpec& spec,
                                 const image::ImageInfo& image) {
  if (spec.stop_signal() != 0) return spec.stop_signal();
  if (image.config.stop_signal.empty()) return SIGTERM;
  return plan::ParseSignal(image.config.stop_signal);
}

// A bad source is the request's fault, whatever errno says.
absl::Status CheckMountSources(const state::ContainerSpec& spec) {
  for (const state::Mount& mount : spec.mounts()) {
    struct stat st = {};
    if (mount.has_image()) continue;
    if (stat(mount.host_path().c_str(), &st) != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("mounts: stat host_path ", mount.host_path(), " for ",
                       mount.container_path(), ": ", os::ErrnoName(errno)));
    }
    PINION_RETURN_IF_ERROR_AS(
        plan::CheckPropagation(mount.host_path(),
                               ToPropagation(mount.propagation())),
        absl::StrCat("mount propagation for ", mount.container_path()));
  }
  return absl::OkStatus();
}

absl::Status CheckNamespaces(Context& context, const state::PodRecord& pod,
                             const state::ContainerSpec& spec) {
  const state::Namespaces& own = spec.security().namespaces();
  const state::Namespaces& shared = pod.spec().namespaces();
  if (own.pid() == state::NAMESPACE_POD &&
      shared.pid() != state::NAMESPACE_POD) {
    return absl::InvalidArgumentError(
        "namespace_options.pid is POD, but the sandbox was made without a "
        "shared PID namespace");
  }
  const auto differs = [](state::NamespaceMode a, state::NamespaceMode b) {
    return (a == state::NAMESPACE_NODE) != (b == state::NAMESPACE_NODE);
  };
  if (differs(own.network(), shared.network()) ||
      differs(own.ipc(), shared.ipc())) {
    return absl::InvalidArgumentError(
        "namespace_options.network and ipc must be those of the sandbox");
  }
  if (own.pid() != state::NAMESPACE_TARGET) return absl::OkStatus();
  PINION_ASSIGN_OR_RETURN(const ContainerPtr target,
                          context.objects.FindContainer(own.target_id()));
  const auto record = target->record.Get();
  if (record->pod_id() != pod.id() ||
      record->state() != state::CONTAINER_RUNNING) {
    return absl::InvalidArgumentError(
        absl::StrCat("target container ", own.target_id(),
                     " does not run in pod sandbox ", pod.id()));
  }
  return absl::OkStatus();
}

absl::StatusOr<launch::Capabilities> CapabilitiesOf(
    const state::ContainerRecord& container) {
  const state::ContainerSecurity& security = container.spec().security();
  plan::CapabilityRequest request;
  request.privileged = security.privileged();
  request.add.assign(security.add_capabilities().begin(),
                     security.add_capabilities().end());
  request.drop.assign(security.drop_capabilities().begin(),
                      security.drop_capabilities().end());
  request.ambient.assign(security.add_ambient_capabilities().begin(),
                         security.add_ambient_capabilities().end());
  return plan::CompileCapabilities(request, plan::AvailableCapabilities(),
                                   static_cast<uid_t>(container.user().uid()));
}

state::SeccompProfile::Kind SeccompKind(
    const Options& options, const state::ContainerSecurity& security) {
  if (security.privileged()) return state::SeccompProfile::UNCONFINED;
  if (security.has_seccomp()) return security.seccomp().kind();
  return options.seccomp_default ? state::SeccompProfile::RUNTIME_DEFAULT
                                 : state::SeccompProfile::UNCONFINED;
}

// A bad profile is the request's fault, also if the file is absent.
absl::StatusOr<plan::SeccompFilter> LocalhostFilter(
    Context& context, const state::ContainerSecurity& security,
    uint64_t capabilities) {
  auto filter =
      context.seccomp.Localhost(security.seccomp().path(), capabilities);
  if (absl::IsNotFound(filter.status())) {
    return absl::InvalidArgumentError(filter.status().message());
  }
  return filter;
}

absl::StatusOr<std::string> SeccompOf(Context& context,
                                      const state::ContainerRecord& container,
                                      const launch::Capabilities& caps) {
  const state::ContainerSecurity& security = container.spec().security();
  switch (SeccompKind(context.options, security)) {
    case state::SeccompProfile::RUNTIME_DEFAULT:
      return context.seccomp.RuntimeDefault(caps.bounding);
    case state::SeccompProfile::LOCALHOST:
      return container.seccomp_program();
    default:
      return "";
  }
}

absl::StatusOr<plan::DeviceSet> DevicesOf(const state::ContainerSpec& spec) {
  std::vector<plan::DeviceRequest> requests;
  for (const state::Device& device : spec.devices()) {
    requests.push_back(
        {device.host_path(), device.container_path(), device.permissions()});
  }
  // In a user namespace "privileged" is about that namespace: the host's
  // devices do not belong to it.
  const bool all = spec.security().privileged() &&
                   !spec.security().namespaces().has_user_namespace();
  auto set = plan::CompileDevices(requests, all);
  if (absl::IsNotFound(set.status())) {
    return absl::InvalidArgumentError(set.status().message());
  }
  return set;
}

std::vector<launch::Rlimit> Rlimits() {
  rlimit own = {};
  if (getrlimit(RLIMIT_NOFILE, &own) != 0) return {};
  launch::Rlimit files;
  files.resource = RLIMIT_NOFILE;
  files.hard = std::min<uint64_t>(own.rlim_max, kOpenFilesHard);
  files.soft = std::min(files.hard, kOpenFilesSoft);
  return {files};
}

// The pod's own files in /etc, where the request has none of its own.
void AddPodFiles(const Context& context, const state::PodRecord& pod,
                 const state::ContainerSpec& spec, launch::LaunchSpec& launch) {
  const std::pair<const char*, const char*> files[] = {
      {kHostnameFile, "/etc/hostname"},
      {kHostsFile, "/etc/hosts"},
      {kResolvConfFile, "/etc/resolv.conf"}};
  for (const auto& [name, target] : files) {
    const bool asked =
        std::any_of(spec.mounts().begin(), spec.mounts().end(),
                    [target = std::string(target)](const state::Mount& mount) {
                      return mount.container_path() == target;
                    });
    if (asked) continue;
    launch::BindMount bind;
    bind.source = absl::StrCat(PodDir(context, pod.id()), "/", name);
    bind.target = target;
    bind.readonly = spec.security().readonly_rootfs();
    launch.mounts.push_back(std::move(bind));
  }
}

void AddRequestedMounts(const state::ContainerSpec& spec,
                        launch::LaunchSpec& launch) {
  for (const state::Mount& mount : spec.mounts()) {
    launch::BindMount bind;
    bind.source = mount.host_path();
    bind.target = mount.container_path();
    bind.readonly = mount.readonly();
    bind.recursive_readonly = mount.recursive_read_only();
    bind.propagation = ToPropagation(mount.propagation());
    bind.mapped_ids = !mount.uid_mappings().empty();
    const state::ImageVolume& image = mount.image();
    bind.image_layers.assign(image.layer_dirs().begin(),
                             image.layer_dirs().end());
    bind.image_sub_path = image.sub_path();
    launch.mounts.push_back(std::move(bind));
  }
}

// What lies in another mount comes after it, in whatever order the pod's
// author wrote them: else the outer one would cover it.
void OrderMounts(launch::LaunchSpec& launch) {
  const auto depth = [](const launch::BindMount& mount) {
    const std::vector<absl::string_view> parts =
        absl::StrSplit(mount.target, '/', absl::SkipEmpty());
    return parts.size();
  };
  std::stable_sort(
      launch.mounts.begin(), launch.mounts.end(),
      [&depth](const launch::BindMount& a, const launch::BindMount& b) {
        return depth(a) < depth(b);
      });
}

launch::Rootfs RootfsOf(const Context& context,
                        const state::ContainerRecord& container) {
  launch::Rootfs rootfs;
  rootfs.base_dir = context.options.root;
  rootfs.lowers.assign(container.layer_dirs().begin(),
                       container.layer_dirs().end());
  AddMountPoints(rootfs.lowers);
  rootfs.upper = absl::StrCat("containers/", container.id(), "/upper");
  rootfs.work = absl::StrCat("containers/", container.id(), "/work");
  rootfs.readonly = container.spec().security().readonly_rootfs();
  // docs/decisions/volatile_rootfs.md
  rootfs.is_volatile = true;
  return rootfs;
}

// Identity and limits: the same for a container's first process and execs.
absl::Status AddIdentity(Context& context,
                         const state::ContainerRecord& container,
                         launch::LaunchSpec& launch) {
  const state::ContainerSpec& spec = container.spec();
  launch.env.assign(container.env().begin(), container.env().end());
  launch.working_dir = container.working_dir();
  launch.uid = static_cast<uid_t>(container.user().uid());
  launch.gid = static_cast<gid_t>(container.user().gid());
  for (const int64_t group : container.user().supplemental_groups()) {
    launch.groups.push_back(static_cast<gid_t>(group));
  }
  PINION_ASSIGN_OR_RETURN(launch.capabilities, CapabilitiesOf(container));
  launch.no_new_privs = spec.security().no_new_privs();
  PINION_ASSIGN_OR_RETURN(launch.seccomp_program,
                          SeccompOf(context, container, launch.capabilities));
  launch.seccomp_flags = container.seccomp_flags();
  launch.apparmor_profile = container.apparmor_profile();
  launch.rlimits = Rlimits();
  launch.user_namespace =
      LaunchUserNamespace(container, spec.security().namespaces());
  launch.oom_score_adj = static_cast<int>(spec.resources().oom_score_adj());
  launch.set_oom_score_adj = true;
  return absl::OkStatus();
}

absl::Status AddPidNamespace(Context& context, const state::ContainerSpec& spec,
                             launch::LaunchSpec& launch) {
  const state::Namespaces& namespaces = spec.security().namespaces();
  switch (namespaces.pid()) {
    case state::NAMESPACE_POD:
      launch.pid_namespace = launch::PidNamespace::kPod;
      return absl::OkStatus();
    case state::NAMESPACE_NODE:
      launch.pid_namespace = launch::PidNamespace::kHost;
      return absl::OkStatus();
    case state::NAMESPACE_TARGET: {
      PINION_ASSIGN_OR_RETURN(
          const ContainerPtr target,
          context.objects.FindContainer(namespaces.target_id()));
      const auto record = target->record.Get();
      launch.pid_namespace = launch::PidNamespace::kTarget;
      launch.target_pid = record->pid();
      launch.target_start_ticks = record->pid_start_ticks();
      return absl::OkStatus();
    }
    default:
      launch.pid_namespace = launch::PidNamespace::kOwn;
      return absl::OkStatus();
  }
}

}  // namespace

launch::Propagation ToPropagation(state::MountPropagation propagation) {
  switch (propagation) {
    case state::PROPAGATION_HOST_TO_CONTAINER:
      return launch::Propagation::kSlave;
    case state::PROPAGATION_BIDIRECTIONAL:
      return launch::Propagation::kShared;
    default:
      return launch::Propagation::kPrivate;
  }
}

absl::StatusOr<state::ContainerRecord> ResolveContainer(
    Context& context, const state::PodRecord& pod,
    const state::ContainerSpec& spec, const image::ImageInfo& image,
    const std::string& id) {
  PINION_RETURN_IF_ERROR(CheckNamespaces(context, pod, spec));
  PINION_RETURN_IF_ERROR(CheckContainerUserNamespace(pod.spec(), spec));
  PINION_RETURN_IF_ERROR(CheckMountSources(spec));
  PINION_RETURN_IF_ERROR(DevicesOf(spec).status());
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> argv,
                          ContainerArgv(spec, image.config));
  PINION_ASSIGN_OR_RETURN(const plan::ResolvedUser user,
                          ResolveUserOf(context, spec.security(), image));
  PINION_ASSIGN_OR_RETURN(const int stop_signal, StopSignalOf(spec, image));

  state::ContainerRecord record;
  record.set_id(id);
  record.set_pod_id(pod.id());
  *record.mutable_spec() = spec;
  if (pod.spec().namespaces().has_user_namespace()) {
    *record.mutable_spec()
         ->mutable_security()
         ->mutable_namespaces()
         ->mutable_user_namespace() = pod.spec().namespaces().user_namespace();
  }
  record.set_state(state::CONTAINER_CREATED);
  record.set_image_id(image.id);
  record.set_image_ref(image.repo_digests.empty() ? image.id
                                                  : image.repo_digests.front());
  record.set_created_at_ns(Clock::Real().WallNanos());
  record.set_stop_signal(stop_signal);
  if (!spec.log_path().empty() && !pod.spec().log_directory().empty()) {
    record.set_log_path(
        absl::StrCat(pod.spec().log_directory(), "/", spec.log_path()));
  }
  record.mutable_user()->set_uid(user.uid);
  record.mutable_user()->set_gid(user.gid);
  for (const gid_t group : user.groups) {
    record.mutable_user()->add_supplemental_groups(group);
  }
  for (const std::string& dir : image.layer_dirs) record.add_layer_dirs(dir);
  for (const std::string& word : argv) record.add_argv(word);
  for (const std::string& entry :
       ContainerEnv(spec, image.config, pod.spec().hostname(), user.home)) {
    record.add_env(entry);
  }
  PINION_RETURN_IF_ERROR(
      ApplyCdiDevices(context.options.cdi_spec_dirs, record));
  PINION_RETURN_IF_ERROR(CheckMapped(record));
  const std::string& image_dir = image.config.working_dir;
  record.set_working_dir(!spec.working_dir().empty() ? spec.working_dir()
                         : !image_dir.empty()        ? image_dir
                                                     : "/");
  PINION_ASSIGN_OR_RETURN(*record.mutable_apparmor_profile(),
                          context.apparmor.Resolve(spec.security()));
  // What is left to fail at the start is the kernel's to say.
  PINION_ASSIGN_OR_RETURN(const launch::Capabilities capabilities,
                          CapabilitiesOf(record));
  if (SeccompKind(context.options, spec.security()) ==
      state::SeccompProfile::LOCALHOST) {
    PINION_ASSIGN_OR_RETURN(
        plan::SeccompFilter filter,
        LocalhostFilter(context, spec.security(), capabilities.bounding));
    record.set_seccomp_program(std::move(filter.program));
    record.set_seccomp_flags(filter.flags);
  }
  return record;
}

absl::StatusOr<ContainerPlan> PlanContainer(
    Context& context, const state::PodRecord& pod,
    const state::ContainerRecord& container) {
  const state::ContainerSpec& spec = container.spec();
  const state::ContainerSecurity& security = spec.security();
  ContainerPlan result;
  launch::LaunchSpec& launch = result.launch;
  launch.kind = launch::Kind::kContainer;
  launch.argv.assign(container.argv().begin(), container.argv().end());
  launch.terminal = spec.tty();
  PINION_RETURN_IF_ERROR(AddIdentity(context, container, launch));
  PINION_RETURN_IF_ERROR(AddPidNamespace(context, spec, launch));

  launch.rootfs = RootfsOf(context, container);
  AddPodFiles(context, pod, spec, launch);
  AddRequestedMounts(spec, launch);
  AddCdiMounts(container, launch);
  plan::RootfsOptions rootfs;
  rootfs.privileged = security.privileged();
  rootfs.host_ipc = pod.spec().namespaces().ipc() == state::NAMESPACE_NODE;
  rootfs.pod_shm = !rootfs.host_ipc;
  plan::AddRootfsDefaults(rootfs, launch);
  OrderMounts(launch);
  if (!security.privileged()) {
    launch.masked_paths.assign(security.masked_paths().begin(),
                               security.masked_paths().end());
    launch.readonly_paths.assign(security.readonly_paths().begin(),
                                 security.readonly_paths().end());
  }
  PINION_ASSIGN_OR_RETURN(plan::DeviceSet devices, DevicesOf(spec));
  AddCdiNodes(container, devices);
  launch.devices = std::move(devices.nodes);
  result.device_rules = std::move(devices.rules);
  return result;
}

absl::StatusOr<launch::LaunchSpec> PlanExec(
    Context& context, const state::ContainerRecord& container,
    const std::vector<std::string>& command, bool terminal) {
  launch::LaunchSpec launch;
  launch.kind = launch::Kind::kExec;
  launch.argv = command;
  launch.terminal = terminal;
  PINION_RETURN_IF_ERROR(AddIdentity(context, container, launch));
  if (terminal) SetDefaultTerm(launch.env);
  launch.target_pid = container.pid();
  launch.target_start_ticks = container.pid_start_ticks();
  return launch;
}

bool MountsRootAhead(const Context& context,
                     const state::ContainerRecord& container) {
  return context.empty_mounts.valid() && !container.has_restore() &&
         !container.spec().security().namespaces().has_user_namespace() &&
         ImageVolumeLayers(container.spec()).empty();
}

absl::Status ForgetUnusedMount(Context& context,
                               const state::ContainerRecord& container) {
  return os::RemoveTreeAt(context.root_dir.get(),
                          RootfsOf(context, container).work + "/work");
}

absl::StatusOr<os::UniqueFd> MountRoot(
    Context& context, const state::ContainerRecord& container) {
  const launch::Rootfs rootfs = RootfsOf(context, container);
  PINION_RETURN_IF_ERROR(ForgetUnusedMount(context, container));
  const auto full = [&rootfs](const std::string& path) {
    return absl::StrCat(rootfs.base_dir, "/", path);
  };
  os::Overlay overlay;
  for (const std::string& lower : rootfs.lowers) {
    overlay.lowers.push_back(full(lower));
  }
  overlay.upper = full(rootfs.upper);
  overlay.work = full(rootfs.work);
  overlay.is_volatile = rootfs.is_volatile;
  return os::MountOverlay(overlay);
}

}  // namespace pinion::runtime
