#include "cri/translate_sandbox.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/status_macros.h"
#include "cri/field.h"
#include "cri/translate_dns.h"
#include "cri/translate_metadata.h"
#include "cri/translate_namespaces.h"
#include "cri/translate_resources.h"
#include "cri/translate_security.h"

namespace pinion::cri {
namespace {

// DNS subdomain and DNS label, as Kubernetes limits its names.
constexpr size_t kMaxName = 253;
constexpr size_t kMaxNamespace = 63;
constexpr int kMaxPortMappings = 4096;
constexpr int kMaxSysctls = 256;

absl::Status SetMetadata(const Field& config, const api::PodSandboxConfig& in,
                         state::PodSpec& out) {
  const Field field = config.Sub("metadata");
  if (!in.has_metadata()) return RefuseField(field, "must be set");
  const api::PodSandboxMetadata& metadata = in.metadata();
  PINION_RETURN_IF_ERROR(
      CheckName(field.Sub("name"), metadata.name(), kMaxName));
  PINION_RETURN_IF_ERROR(CheckName(field.Sub("uid"), metadata.uid(), kMaxName));
  PINION_RETURN_IF_ERROR(
      CheckName(field.Sub("namespace"), metadata.namespace_(), kMaxNamespace));
  out.set_name(metadata.name());
  out.set_uid(metadata.uid());
  out.set_namespace_(metadata.namespace_());
  out.set_attempt(metadata.attempt());

  PINION_RETURN_IF_ERROR(CheckLabels(config.Sub("labels"), in.labels()));
  PINION_RETURN_IF_ERROR(
      CheckAnnotations(config.Sub("annotations"), in.annotations()));
  *out.mutable_labels() = in.labels();
  *out.mutable_annotations() = in.annotations();
  return absl::OkStatus();
}

// "net.ipv4.ip_forward": dotted names only, so that nobody can walk up with
// "/" or "..", and each name has one spelling.
bool IsSysctlName(std::string_view name) {
  const bool charset = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  });
  return charset && !name.empty() && name.size() <= 253 &&
         name.front() != '.' && name.back() != '.' &&
         name.find('.') != std::string_view::npos &&
         name.find("..") == std::string_view::npos;
}

absl::Status SetSysctls(const Field& linux,
                        const api::LinuxPodSandboxConfig& in,
                        state::PodSpec& out) {
  const Field field = linux.Sub("sysctls");
  if (in.sysctls_size() > kMaxSysctls) {
    return Refuse(field, in.sysctls_size(), "are too many sysctls");
  }
  for (const auto& [name, value] : in.sysctls()) {
    if (!IsSysctlName(name)) {
      return Refuse(field, name,
                    "must be a dotted name like net.ipv4.tcp_syncookies");
    }
    PINION_RETURN_IF_ERROR(CheckText(field.Sub(name), value, 4095));
    // To write nothing would change nothing.
    if (value.empty()) {
      return Refuse(field.Sub(name), value, "must not be empty");
    }
    if (value.find('\n') != std::string::npos) {
      return Refuse(field.Sub(name), value, "must be one line");
    }
    (*out.mutable_sysctls())[name] = value;
  }
  return absl::OkStatus();
}

absl::Status SetLinux(const Field& config, const api::LinuxPodSandboxConfig& in,
                      state::PodSpec& out) {
  const Field field = config.Sub("linux");
  const Field parent = field.Sub("cgroup_parent");
  PINION_RETURN_IF_ERROR(CheckLine(parent, in.cgroup_parent(), 4095));
  if (HasDotDot(in.cgroup_parent())) {
    return Refuse(parent, in.cgroup_parent(), "must not hold \"..\"");
  }
  out.set_cgroup_parent(in.cgroup_parent());
  PINION_RETURN_IF_ERROR(SetSysctls(field, in, out));

  const Field security = field.Sub("security_context");
  PINION_RETURN_IF_ERROR(CheckSandboxSecurity(security, in.security_context()));
  PINION_ASSIGN_OR_RETURN(
      *out.mutable_namespaces(),
      ToSandboxNamespaces(security.Sub("namespace_options"),
                          in.security_context().namespace_options()));
  out.set_privileged(in.security_context().privileged());
  if (in.has_overhead()) {
    PINION_ASSIGN_OR_RETURN(*out.mutable_overhead(),
                            ToResources(field.Sub("overhead"), in.overhead()));
  }
  if (in.has_resources()) {
    PINION_ASSIGN_OR_RETURN(
        *out.mutable_resources(),
        ToResources(field.Sub("resources"), in.resources()));
  }
  return absl::OkStatus();
}

absl::Status SetNetwork(const Field& config, const api::PodSandboxConfig& in,
                        state::PodSpec& out) {
  PINION_RETURN_IF_ERROR(CheckHostname(config.Sub("hostname"), in.hostname()));
  out.set_hostname(in.hostname());
  if (in.has_dns_config()) {
    PINION_ASSIGN_OR_RETURN(*out.mutable_dns(),
                            ToDns(config.Sub("dns_config"), in.dns_config()));
  }
  const Field ports = config.Sub("port_mappings");
  if (in.port_mappings_size() > kMaxPortMappings) {
    return Refuse(ports, in.port_mappings_size(), "are too many entries");
  }
  for (int i = 0; i < in.port_mappings_size(); ++i) {
    PINION_ASSIGN_OR_RETURN(*out.add_port_mappings(),
                            ToPortMapping(ports.At(i), in.port_mappings(i)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<state::PodSpec> ToPodSpec(
    const api::RunPodSandboxRequest& request) {
  const Field config("config");
  if (!request.has_config()) return RefuseField(config, "must be set");
  const api::PodSandboxConfig& in = request.config();
  if (in.has_windows()) {
    return RefuseField(config.Sub("windows"), "this is a Linux node");
  }
  state::PodSpec out;
  PINION_RETURN_IF_ERROR(SetMetadata(config, in, out));
  PINION_RETURN_IF_ERROR(SetLinux(config, in.linux(), out));
  PINION_RETURN_IF_ERROR(SetNetwork(config, in, out));
  if (!in.log_directory().empty()) {
    const Field log = config.Sub("log_directory");
    PINION_RETURN_IF_ERROR(CheckAbsolutePath(log, in.log_directory()));
    if (HasDotDot(in.log_directory())) {
      return Refuse(log, in.log_directory(), "must not hold \"..\"");
    }
    out.set_log_directory(in.log_directory());
  }
  PINION_RETURN_IF_ERROR(
      CheckLine(Field("runtime_handler"), request.runtime_handler(), 253));
  out.set_runtime_handler(request.runtime_handler());
  return out;
}

}  // namespace pinion::cri
