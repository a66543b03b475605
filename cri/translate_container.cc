#include "cri/translate_container.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/field.h"
#include "cri/message_limit.h"
#include "cri/translate_cdi.h"
#include "cri/translate_metadata.h"
#include "cri/translate_mounts.h"
#include "cri/translate_resources.h"
#include "cri/translate_security.h"
#include "cri/translate_signal.h"

namespace pinion::cri {
namespace {

constexpr size_t kMaxName = 253;
constexpr int kMaxList = 65536;
constexpr size_t kMaxReference = 4096;

absl::Status SetMetadata(const Field& config, const api::ContainerConfig& in,
                         state::ContainerSpec& out) {
  const Field field = config.Sub("metadata");
  if (!in.has_metadata()) return RefuseField(field, "must be set");
  PINION_RETURN_IF_ERROR(
      CheckName(field.Sub("name"), in.metadata().name(), kMaxName));
  out.set_name(in.metadata().name());
  out.set_attempt(in.metadata().attempt());
  PINION_RETURN_IF_ERROR(CheckLabels(config.Sub("labels"), in.labels()));
  PINION_RETURN_IF_ERROR(
      CheckAnnotations(config.Sub("annotations"), in.annotations()));
  *out.mutable_labels() = in.labels();
  *out.mutable_annotations() = in.annotations();
  return absl::OkStatus();
}

absl::Status SetImage(const Field& config, const api::ContainerConfig& in,
                      state::ContainerSpec& out) {
  const Field field = config.Sub("image");
  const Field image = field.Sub("image");
  const api::ImageSpec& spec = in.image();
  if (spec.image().empty()) return RefuseField(image, "must not be empty");
  PINION_RETURN_IF_ERROR(CheckLine(image, spec.image(), kMaxReference));
  PINION_RETURN_IF_ERROR(CheckLine(field.Sub("user_specified_image"),
                                   spec.user_specified_image(), kMaxReference));
  PINION_RETURN_IF_ERROR(
      CheckLine(field.Sub("runtime_handler"), spec.runtime_handler(), 253));
  PINION_RETURN_IF_ERROR(
      CheckAnnotations(field.Sub("annotations"), spec.annotations()));
  out.set_image(spec.image());
  out.set_user_specified_image(spec.user_specified_image());
  out.set_image_runtime_handler(spec.runtime_handler());
  *out.mutable_image_annotations() = spec.annotations();
  return absl::OkStatus();
}

template <typename List>
absl::Status CheckArguments(const Field& field, const List& list) {
  if (list.size() > kMaxList) {
    return Refuse(field, list.size(), "are too many entries");
  }
  for (int i = 0; i < list.size(); ++i) {
    PINION_RETURN_IF_ERROR(CheckText(field.At(i), list[i], kMaxArgument - 1));
  }
  return absl::OkStatus();
}

absl::Status SetProcess(const Field& config, const api::ContainerConfig& in,
                        state::ContainerSpec& out) {
  PINION_RETURN_IF_ERROR(CheckArguments(config.Sub("command"), in.command()));
  PINION_RETURN_IF_ERROR(CheckArguments(config.Sub("args"), in.args()));
  *out.mutable_command() = in.command();
  *out.mutable_args() = in.args();
  if (!in.working_dir().empty()) {
    PINION_RETURN_IF_ERROR(
        CheckAbsolutePath(config.Sub("working_dir"), in.working_dir()));
    out.set_working_dir(in.working_dir());
  }
  const Field envs = config.Sub("envs");
  if (in.envs_size() > kMaxList) {
    return Refuse(envs, in.envs_size(), "are too many entries");
  }
  for (int i = 0; i < in.envs_size(); ++i) {
    const api::KeyValue& env = in.envs(i);
    const Field element = envs.At(i);
    const Field key = element.Sub("key");
    if (env.key().empty()) return RefuseField(key, "must not be empty");
    PINION_RETURN_IF_ERROR(CheckText(key, env.key(), kMaxArgument - 2));
    if (env.key().find('=') != std::string::npos) {
      return Refuse(key, env.key(), "must not hold '='");
    }
    // Values may be secrets: the refusal does not show them.
    if (env.value().size() > kMaxArgument - 2 - env.key().size() ||
        env.value().find('\0') != std::string::npos) {
      return RefuseField(
          element.Sub("value"),
          absl::StrCat("must hold no NUL byte and, with its key, at most ",
                       kMaxArgument - 2, " bytes"));
    }
    state::EnvVar* added = out.add_envs();
    added->set_key(env.key());
    added->set_value(env.value());
  }
  out.set_stdin(in.stdin());
  out.set_stdin_once(in.stdin_once());
  out.set_tty(in.tty());
  PINION_ASSIGN_OR_RETURN(
      const int32_t signal,
      ToSignalNumber(config.Sub("stop_signal"), in.stop_signal()));
  out.set_stop_signal(signal);
  return absl::OkStatus();
}

absl::Status SetFiles(const Field& config, const api::ContainerConfig& in,
                      state::ContainerSpec& out) {
  const Field mounts = config.Sub("mounts");
  if (in.mounts_size() > kMaxList) {
    return Refuse(mounts, in.mounts_size(), "are too many entries");
  }
  for (int i = 0; i < in.mounts_size(); ++i) {
    PINION_ASSIGN_OR_RETURN(*out.add_mounts(),
                            ToMount(mounts.At(i), in.mounts(i)));
  }
  const Field devices = config.Sub("devices");
  if (in.devices_size() > kMaxList) {
    return Refuse(devices, in.devices_size(), "are too many entries");
  }
  for (int i = 0; i < in.devices_size(); ++i) {
    PINION_ASSIGN_OR_RETURN(*out.add_devices(),
                            ToDevice(devices.At(i), in.devices(i)));
  }
  PINION_RETURN_IF_ERROR(SetCdiDevices(config, in, out));
  if (!in.log_path().empty()) {
    PINION_RETURN_IF_ERROR(
        CheckRelativePath(config.Sub("log_path"), in.log_path()));
    out.set_log_path(in.log_path());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<state::ContainerSpec> ToContainerSpec(
    const api::CreateContainerRequest& request) {
  const Field config("config");
  if (!request.has_config()) return RefuseField(config, "must be set");
  const api::ContainerConfig& in = request.config();
  if (in.has_windows()) {
    return RefuseField(config.Sub("windows"), "this is a Linux node");
  }
  state::ContainerSpec out;
  PINION_RETURN_IF_ERROR(SetMetadata(config, in, out));
  PINION_RETURN_IF_ERROR(SetImage(config, in, out));
  PINION_RETURN_IF_ERROR(SetProcess(config, in, out));
  PINION_RETURN_IF_ERROR(SetFiles(config, in, out));
  const Field linux = config.Sub("linux");
  PINION_ASSIGN_OR_RETURN(
      *out.mutable_resources(),
      ToResources(linux.Sub("resources"), in.linux().resources()));
  PINION_ASSIGN_OR_RETURN(*out.mutable_security(),
                          ToContainerSecurity(linux.Sub("security_context"),
                                              in.linux().security_context()));
  return out;
}

absl::Status FitIntoPod(const state::PodSpec& pod, state::ContainerSpec* spec) {
  const Field field("config.linux.security_context");
  state::ContainerSecurity* security = spec->mutable_security();
  if (security->privileged() && !pod.privileged()) {
    return RefuseField(field.Sub("privileged"),
                       "the pod's sandbox was not made privileged");
  }
  state::Namespaces* own = security->mutable_namespaces();
  const state::Namespaces& shared = pod.namespaces();
  const Field options = field.Sub("namespace_options");
  const auto check = [&options](const char* name, state::NamespaceMode wanted,
                                state::NamespaceMode given) {
    if (wanted != state::NAMESPACE_NODE || given == wanted) {
      return absl::OkStatus();
    }
    return Refuse(options.Sub(name), "NODE",
                  "the pod's sandbox does not have the node's namespace");
  };
  PINION_RETURN_IF_ERROR(check("network", own->network(), shared.network()));
  PINION_RETURN_IF_ERROR(check("ipc", own->ipc(), shared.ipc()));
  PINION_RETURN_IF_ERROR(check("pid", own->pid(), shared.pid()));
  // POD is whatever the pod has, and that may be the node's.
  if (own->pid() == state::NAMESPACE_POD &&
      shared.pid() == state::NAMESPACE_NODE) {
    own->set_pid(shared.pid());
  }
  own->set_network(shared.network());
  own->set_ipc(shared.ipc());
  return absl::OkStatus();
}

absl::Status CheckUserNamespaceMode(const api::ContainerConfig& config,
                                    const state::PodSpec& pod) {
  const api::NamespaceOption& asked =
      config.linux().security_context().namespace_options();
  if (!pod.namespaces().has_user_namespace() || !asked.has_userns_options() ||
      asked.userns_options().mode() != api::NODE) {
    return absl::OkStatus();
  }
  const Field options(
      "config.linux.security_context.namespace_options.userns_options");
  return Refuse(options.Sub("mode"), "NODE",
                "the pod's sandbox has a user namespace of its own");
}

absl::Status CheckSelinux(const api::ContainerConfig& config,
                          bool node_has_selinux) {
  const api::SELinuxOption& options =
      config.linux().security_context().selinux_options();
  const bool asks = !options.user().empty() || !options.role().empty() ||
                    !options.type().empty() || !options.level().empty();
  if (!asks || !node_has_selinux) return absl::OkStatus();
  return absl::UnimplementedError(
      "selinux_options: this version sets no SELinux labels, and this node has "
      "SELinux; leave them out of the pod's securityContext");
}

}  // namespace pinion::cri
