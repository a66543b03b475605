#include "runtime/plan/sysctls.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::plan {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxValue = 2048;
// All of a pod's go to its monitor in one message.
constexpr size_t kMaxTotal = size_t{16} << 10;

// kubernetes.io, "Using sysctls in a Kubernetes Cluster": the safe set.
constexpr const char* kSafe[] = {
    "kernel.shm_rmid_forced",           "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",        "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",     "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",      "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",          "net.ipv4.tcp_wmem",
};

// ipc_namespaces(7).
constexpr const char* kIpc[] = {
    "fs.mqueue.*",   "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni",
    "kernel.sem",    "kernel.shmall", "kernel.shmmax", "kernel.shm_rmid_forced",
    "kernel.shmmni",
};

constexpr char kNetwork[] = "net.*";

bool Matches(const std::string& name, const std::string& pattern) {
  if (!pattern.empty() && pattern.back() == '*') {
    const std::string prefix = pattern.substr(0, pattern.size() - 1);
    return name.size() > prefix.size() && absl::StartsWith(name, prefix);
  }
  return name == pattern;
}

template <typename Patterns>
bool MatchesAny(const std::string& name, const Patterns& patterns) {
  for (const auto& pattern : patterns) {
    if (Matches(name, pattern)) return true;
  }
  return false;
}

// Lower-case words with digits, "_" and "-", joined by single dots: the only
// spelling, so that no other can pass for a different name.
bool IsWellFormed(const std::string& name) {
  if (name.empty() || name.size() > kMaxName) return false;
  char previous = '.';
  for (const char c : name) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                      (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
    if (!word && (c != '.' || previous == '.')) return false;
    previous = c;
  }
  return previous != '.';
}

absl::Status Refuse(const std::string& name, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("sysctls[", name, "]: ", why));
}

absl::Status Check(const std::string& name, const std::string& value,
                   const SysctlPolicy& policy) {
  if (!IsWellFormed(name)) return Refuse(name, "malformed name");
  if (value.size() > kMaxValue ||
      value.find_first_of(std::string("\n\0", 2)) != std::string::npos) {
    return Refuse(name, "malformed value");
  }
  const bool network = Matches(name, kNetwork);
  const bool ipc = MatchesAny(name, kIpc);
  if (!network && !ipc) {
    return Refuse(name, "not namespaced, it would change the whole node");
  }
  if (network && policy.host_network) {
    return Refuse(name, "not allowed with the host's network namespace");
  }
  if (ipc && policy.host_ipc) {
    return Refuse(name, "not allowed with the host's IPC namespace");
  }
  if (!MatchesAny(name, kSafe) && !MatchesAny(name, policy.allowed_unsafe)) {
    return Refuse(name, "neither safe nor in runtime.allowed_unsafe_sysctls");
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> AllNamespacedSysctls() {
  std::vector<std::string> patterns(std::begin(kIpc), std::end(kIpc));
  patterns.push_back(kNetwork);
  return patterns;
}

absl::Status CheckSysctls(const std::map<std::string, std::string>& sysctls,
                          const SysctlPolicy& policy) {
  size_t total = 0;
  for (const auto& [name, value] : sysctls) {
    PINION_RETURN_IF_ERROR(Check(name, value, policy));
    total += name.size() + value.size();
  }
  if (total > kMaxTotal) {
    return absl::InvalidArgumentError(
        absl::StrCat("sysctls: ", total, " bytes of names and values are more ",
                     "than ", kMaxTotal));
  }
  return absl::OkStatus();
}

}  // namespace pinion::plan
