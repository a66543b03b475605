#include "runtime/plan/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::plan {
namespace {

// By number, as in linux/capability.h.
constexpr std::array<const char*, CAP_LAST_CAP + 1> kNames = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};

constexpr uint64_t Bit(int capability) { return uint64_t{1} << capability; }

constexpr uint64_t kDefault =
    Bit(CAP_CHOWN) | Bit(CAP_DAC_OVERRIDE) | Bit(CAP_FSETID) | Bit(CAP_FOWNER) |
    Bit(CAP_MKNOD) | Bit(CAP_NET_RAW) | Bit(CAP_SETGID) | Bit(CAP_SETUID) |
    Bit(CAP_SETFCAP) | Bit(CAP_SETPCAP) | Bit(CAP_NET_BIND_SERVICE) |
    Bit(CAP_SYS_CHROOT) | Bit(CAP_KILL) | Bit(CAP_AUDIT_WRITE);

bool IsAll(const std::string& name) {
  return absl::EqualsIgnoreCase(name, "ALL");
}

bool HasAll(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (IsAll(name)) return true;
  }
  return false;
}

// The named ones of a list, without "ALL".
absl::StatusOr<uint64_t> ParseList(const std::vector<std::string>& names) {
  uint64_t set = 0;
  for (const std::string& name : names) {
    if (IsAll(name)) continue;
    PINION_ASSIGN_OR_RETURN(const int capability, ParseCapability(name));
    set |= Bit(capability);
  }
  return set;
}

absl::Status CheckAvailable(uint64_t wanted, uint64_t available) {
  for (int capability = 0; capability < 64; ++capability) {
    if ((wanted & ~available & Bit(capability)) == 0) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("capability ", CapabilityName(capability),
                     ": this node does not have it to give"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int> ParseCapability(const std::string& name) {
  std::string upper = absl::AsciiStrToUpper(name);
  if (absl::StartsWith(upper, "CAP_")) upper.erase(0, 4);
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (upper == kNames[i]) return static_cast<int>(i);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("capabilities: there is no \"", name, "\""));
}

std::string CapabilityName(int capability) {
  const auto index = static_cast<size_t>(capability);
  if (index >= kNames.size()) return absl::StrCat("CAP_", capability);
  return absl::StrCat("CAP_", kNames[index]);
}

namespace {

uint64_t ReadBoundingSet() {
  uint64_t set = 0;
  for (int capability = 0; capability < 64; ++capability) {
    const int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) break;
    if (held == 1) set |= Bit(capability);
  }
  return set;
}

}  // namespace

uint64_t AvailableCapabilities() {
  // Nothing here ever drops one: asked for once, not with every plan.
  static const uint64_t set = ReadBoundingSet();
  return set;
}

absl::StatusOr<launch::Capabilities> CompileCapabilities(
    const CapabilityRequest& request, uint64_t available, uid_t uid) {
  PINION_ASSIGN_OR_RETURN(const uint64_t add, ParseList(request.add));
  PINION_ASSIGN_OR_RETURN(const uint64_t drop, ParseList(request.drop));
  PINION_ASSIGN_OR_RETURN(const uint64_t ambient, ParseList(request.ambient));

  uint64_t set = kDefault & available;
  if (request.privileged) {
    set = available;
  } else {
    if (HasAll(request.add)) set = available;
    if (HasAll(request.drop)) set = 0;
    PINION_RETURN_IF_ERROR(CheckAvailable(add & ~drop, available));
    set = (set | add) & ~drop;
  }

  launch::Capabilities result;
  result.bounding = set;
  result.ambient = HasAll(request.ambient) ? set : ambient;
  if ((result.ambient & ~set) != 0) {
    return absl::InvalidArgumentError(
        "ambient capabilities must be among those the container has");
  }
  result.permitted = uid == 0 ? set : result.ambient;
  result.effective = result.permitted;
  return result;
}

}  // namespace pinion::plan
