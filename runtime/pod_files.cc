#include "runtime/pod_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"
#include "runtime/plan/etc_files.h"
#include "runtime/plan/sysctls.h"
#include "runtime/user_namespaces.h"

namespace pinion::runtime {
namespace {

constexpr mode_t kMode = 0644;

bool IsHostNetwork(const state::PodSpec& spec) {
  return spec.namespaces().network() == state::NAMESPACE_NODE;
}

// A file of the node's, or nothing where it has none.
absl::StatusOr<std::string> NodeFile(const std::string& path) {
  auto content = os::ReadFileAt(AT_FDCWD, path);
  if (absl::IsNotFound(content.status())) return "";
  return content;
}

absl::StatusOr<std::string> PodHostname(const state::PodSpec& spec) {
  if (!spec.hostname().empty() && !IsHostNetwork(spec)) return spec.hostname();
  utsname names = {};
  if (uname(&names) != 0) return os::ErrnoStatus("uname");
  return std::string(names.nodename);
}

absl::StatusOr<std::string> PodResolvConf(const state::PodSpec& spec) {
  if (!spec.has_dns()) return NodeFile("/etc/resolv.conf");
  const state::DnsConfig& dns = spec.dns();
  plan::ResolverConfig config;
  config.servers.assign(dns.servers().begin(), dns.servers().end());
  config.searches.assign(dns.searches().begin(), dns.searches().end());
  config.options.assign(dns.options().begin(), dns.options().end());
  return plan::ResolvConf(config);
}

// A file of the pod's, which its root may change.
absl::Status WriteFile(int pod_dir, const char* name,
                       const std::string& content, const state::PodSpec& spec) {
  PINION_RETURN_IF_ERROR(os::ReplaceFileAt(pod_dir, name, content, kMode));
  const state::UserNamespace& mapped = spec.namespaces().user_namespace();
  const auto uid = HostId(mapped.uids(), 0);
  const auto gid = HostId(mapped.gids(), 0);
  if (uid && gid &&
      fchownat(pod_dir, name, *uid, *gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return os::ErrnoStatus(absl::StrCat("chown ", name));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WritePodFiles(int pod_dir, const state::PodSpec& spec) {
  PINION_ASSIGN_OR_RETURN(const std::string name, PodHostname(spec));
  PINION_ASSIGN_OR_RETURN(const std::string hostname, plan::HostnameFile(name));
  PINION_RETURN_IF_ERROR(WriteFile(pod_dir, kHostnameFile, hostname, spec));
  PINION_ASSIGN_OR_RETURN(const std::string resolv_conf, PodResolvConf(spec));
  return WriteFile(pod_dir, kResolvConfFile, resolv_conf, spec);
}

absl::Status WriteHostsFile(int pod_dir, const state::PodRecord& pod) {
  std::string content;
  if (IsHostNetwork(pod.spec())) {
    PINION_ASSIGN_OR_RETURN(content, NodeFile("/etc/hosts"));
  } else {
    std::vector<std::string> ips;
    if (!pod.ip().empty()) ips.push_back(pod.ip());
    ips.insert(ips.end(), pod.additional_ips().begin(),
               pod.additional_ips().end());
    PINION_ASSIGN_OR_RETURN(const std::string name, PodHostname(pod.spec()));
    PINION_ASSIGN_OR_RETURN(content, plan::HostsFile(name, ips));
  }
  return WriteFile(pod_dir, kHostsFile, content, pod.spec());
}

absl::Status CheckPodSysctls(const Options& options,
                             const state::PodSpec& spec) {
  if (spec.sysctls().empty()) return absl::OkStatus();
  plan::SysctlPolicy policy;
  policy.allowed_unsafe = options.allowed_unsafe_sysctls;
  policy.host_network = IsHostNetwork(spec);
  policy.host_ipc = spec.namespaces().ipc() == state::NAMESPACE_NODE;
  const std::map<std::string, std::string> sysctls(spec.sysctls().begin(),
                                                   spec.sysctls().end());
  return plan::CheckSysctls(sysctls, policy);
}

}  // namespace pinion::runtime
