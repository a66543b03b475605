#include "runtime/plan/seccomp_json.h"

#include <linux/seccomp.h>
#include <seccomp.h>

#include <cerrno>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "runtime/plan/capabilities.h"

namespace pinion::plan {
namespace {

using Json = nlohmann::json;

// What the kernel takes as errno (MAX_ERRNO).
constexpr int64_t kMaxErrno = 4095;
constexpr size_t kMaxRules = 4096;

absl::Status Malformed(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("seccomp profile: ", what));
}

absl::StatusOr<std::string> GetString(const Json& object, const char* key) {
  const auto at = object.find(key);
  if (at == object.end() || at->is_null()) return std::string();
  if (at->is_string()) return at->get<std::string>();
  return Malformed(absl::StrCat(key, " is not a string"));
}

absl::StatusOr<std::vector<std::string>> GetStrings(const Json& object,
                                                    const char* key) {
  std::vector<std::string> result;
  const auto at = object.find(key);
  if (at == object.end() || at->is_null()) return result;
  if (!at->is_array()) return Malformed(absl::StrCat(key, " is not a list"));
  for (const Json& element : *at) {
    if (!element.is_string()) {
      return Malformed(absl::StrCat(key, " holds something but strings"));
    }
    result.push_back(element.get<std::string>());
  }
  return result;
}

absl::StatusOr<uint64_t> GetNumber(const Json& object, const char* key) {
  const auto at = object.find(key);
  if (at == object.end() || at->is_null()) return uint64_t{0};
  if (at->is_number_unsigned()) return at->get<uint64_t>();
  return Malformed(absl::StrCat(key, " is not a natural number"));
}

// An errno of its own, or the default that comes with the action.
absl::StatusOr<uint32_t> GetErrno(const Json& object, const char* key) {
  if (object.find(key) == object.end()) return uint32_t{EPERM};
  PINION_ASSIGN_OR_RETURN(const uint64_t value, GetNumber(object, key));
  if (value > static_cast<uint64_t>(kMaxErrno)) {
    return Malformed(absl::StrCat(key, " ", value, " is no errno"));
  }
  return static_cast<uint32_t>(value);
}

absl::StatusOr<uint32_t> ParseAction(const std::string& name, uint32_t error) {
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(error);
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") {
    return SCMP_ACT_KILL_THREAD;
  }
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(error);
  if (name == "SCMP_ACT_NOTIFY") {
    return Malformed(
        "SCMP_ACT_NOTIFY is not supported: there is nobody who would answer, "
        "and the process would wait for ever");
  }
  return Malformed(absl::StrCat("unknown action \"", name, "\""));
}

absl::StatusOr<uint32_t> ParseFlags(const Json& root) {
  static const std::map<std::string, uint32_t> known = {
      {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
      {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
      {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
      // About waiting for a listener's answer, and there is no listener.
      {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 0}};
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                          GetStrings(root, "flags"));
  uint32_t flags = 0;
  for (const std::string& name : names) {
    const auto at = known.find(name);
    if (at == known.end()) {
      return Malformed(absl::StrCat("unknown flag \"", name, "\""));
    }
    flags |= at->second;
  }
  return flags;
}

absl::StatusOr<int> ParseOperator(const std::string& name) {
  static const std::map<std::string, int> operators = {
      {"SCMP_CMP_NE", SCMP_CMP_NE},
      {"SCMP_CMP_LT", SCMP_CMP_LT},
      {"SCMP_CMP_LE", SCMP_CMP_LE},
      {"SCMP_CMP_EQ", SCMP_CMP_EQ},
      {"SCMP_CMP_GE", SCMP_CMP_GE},
      {"SCMP_CMP_GT", SCMP_CMP_GT},
      {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  const auto at = operators.find(name);
  if (at != operators.end()) return at->second;
  return Malformed(absl::StrCat("unknown operator \"", name, "\""));
}

// "SCMP_ARCH_X86_64"; 0 for what this libseccomp does not know.
uint32_t ParseArchitecture(const std::string& name) {
  if (!absl::StartsWith(name, "SCMP_ARCH_")) return 0;
  return seccomp_arch_resolve_name(
      absl::AsciiStrToLower(name.substr(10)).c_str());
}

void AddArchitecture(const std::string& name, SeccompProfile& profile) {
  const uint32_t arch = ParseArchitecture(name);
  if (arch != 0) profile.architectures.push_back(arch);
}

// Docker's map: a machine's architecture and those it also runs.
absl::Status ParseArchitectures(const Json& json, SeccompProfile& profile) {
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> listed,
                          GetStrings(json, "architectures"));
  for (const std::string& name : listed) AddArchitecture(name, profile);
  const auto map = json.find("archMap");
  if (map == json.end() || map->is_null()) return absl::OkStatus();
  if (!map->is_array()) return Malformed("archMap is not a list");
  for (const Json& entry : *map) {
    if (!entry.is_object()) return Malformed("archMap holds no objects");
    PINION_ASSIGN_OR_RETURN(const std::string name,
                            GetString(entry, "architecture"));
    PINION_ASSIGN_OR_RETURN(const std::vector<std::string> others,
                            GetStrings(entry, "subArchitectures"));
    if (ParseArchitecture(name) != seccomp_arch_native()) continue;
    for (const std::string& other : others) AddArchitecture(other, profile);
  }
  return absl::OkStatus();
}

// The Go name of this machine, as includes.arches uses it.
std::string GoArchitecture() {
  switch (seccomp_arch_native()) {
    case SCMP_ARCH_X86_64:
      return "amd64";
    case SCMP_ARCH_AARCH64:
      return "arm64";
    case SCMP_ARCH_PPC64LE:
      return "ppc64le";
    case SCMP_ARCH_S390X:
      return "s390x";
    case SCMP_ARCH_RISCV64:
      return "riscv64";
    default:
      return "";
  }
}

std::optional<std::pair<int, int>> ParseVersion(const std::string& text) {
  std::pair<int, int> version;
  if (std::sscanf(text.c_str(), "%5d.%5d", &version.first, &version.second) !=
      2) {
    return std::nullopt;
  }
  return version;
}

struct Environment {
  uint64_t capabilities = 0;
  std::string kernel;
};

// Whether any, or with `all` every one, of `names` is among the container's
// capabilities. Names nobody knows are capabilities it does not have.
bool HasCapabilities(const std::vector<std::string>& names,
                     const Environment& environment, bool all) {
  bool any = false;
  for (const std::string& name : names) {
    const absl::StatusOr<int> capability = ParseCapability(name);
    const bool has =
        capability.ok() && (environment.capabilities >> *capability & 1) != 0;
    if (all && !has) return false;
    any = any || has;
  }
  return all || any;
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  for (const std::string& element : names) {
    if (element == name) return true;
  }
  return false;
}

// Whether an entry's "includes" or "excludes" lets it apply.
absl::StatusOr<bool> Applies(const Json& entry, const char* key,
                             const Environment& environment) {
  const bool includes = std::string(key) == "includes";
  const auto at = entry.find(key);
  if (at == entry.end() || at->is_null()) return true;
  if (!at->is_object()) return Malformed(absl::StrCat(key, " is no object"));
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> caps,
                          GetStrings(*at, "caps"));
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> arches,
                          GetStrings(*at, "arches"));
  PINION_ASSIGN_OR_RETURN(const std::string min_kernel,
                          GetString(*at, "minKernel"));
  if (!caps.empty() &&
      HasCapabilities(caps, environment, includes) != includes) {
    return false;
  }
  if (!arches.empty() && Contains(arches, GoArchitecture()) != includes) {
    return false;
  }
  if (min_kernel.empty()) return true;
  const auto wanted = ParseVersion(min_kernel);
  const auto running = ParseVersion(environment.kernel);
  if (!wanted.has_value()) return Malformed("malformed minKernel");
  return (running.has_value() && *running >= *wanted) == includes;
}

absl::StatusOr<std::vector<SeccompCondition>> ParseArgs(const Json& entry) {
  std::vector<SeccompCondition> conditions;
  const auto args = entry.find("args");
  if (args == entry.end() || args->is_null()) return conditions;
  if (!args->is_array()) return Malformed("args is not a list");
  for (const Json& arg : *args) {
    if (arg.is_null()) continue;
    if (!arg.is_object()) return Malformed("args holds no objects");
    SeccompCondition condition;
    PINION_ASSIGN_OR_RETURN(const uint64_t index, GetNumber(arg, "index"));
    if (index > 5) return Malformed("an argument's index is above 5");
    condition.index = static_cast<unsigned>(index);
    PINION_ASSIGN_OR_RETURN(condition.value, GetNumber(arg, "value"));
    PINION_ASSIGN_OR_RETURN(condition.second, GetNumber(arg, "valueTwo"));
    PINION_ASSIGN_OR_RETURN(const std::string op, GetString(arg, "op"));
    PINION_ASSIGN_OR_RETURN(condition.op, ParseOperator(op));
    conditions.push_back(condition);
  }
  return conditions;
}

// Conditions on different arguments must all hold; two on the same argument
// are alternatives, each a rule of its own (libcontainer's reading, which
// profiles rely on).
void AddRules(SeccompRule rule, SeccompProfile& profile) {
  bool repeated = false;
  for (size_t i = 0; i < rule.conditions.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      repeated =
          repeated || rule.conditions[i].index == rule.conditions[j].index;
    }
  }
  if (!repeated) {
    profile.rules.push_back(std::move(rule));
    return;
  }
  for (const SeccompCondition& condition : rule.conditions) {
    profile.rules.push_back({rule.names, rule.action, {condition}});
  }
}

absl::Status ParseEntry(const Json& entry, const Environment& environment,
                        SeccompProfile& profile) {
  if (!entry.is_object()) return Malformed("syscalls holds no objects");
  for (const char* key : {"includes", "excludes"}) {
    PINION_ASSIGN_OR_RETURN(const bool applies,
                            Applies(entry, key, environment));
    if (!applies) return absl::OkStatus();
  }
  SeccompRule rule;
  PINION_ASSIGN_OR_RETURN(rule.names, GetStrings(entry, "names"));
  PINION_ASSIGN_OR_RETURN(const std::string name, GetString(entry, "name"));
  if (!name.empty()) rule.names.push_back(name);
  if (rule.names.empty()) return Malformed("an entry names no syscall");
  PINION_ASSIGN_OR_RETURN(const uint32_t error, GetErrno(entry, "errnoRet"));
  PINION_ASSIGN_OR_RETURN(const std::string action, GetString(entry, "action"));
  PINION_ASSIGN_OR_RETURN(rule.action, ParseAction(action, error));
  PINION_ASSIGN_OR_RETURN(rule.conditions, ParseArgs(entry));
  AddRules(std::move(rule), profile);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SeccompProfile> ParseSeccompJson(const std::string& json,
                                                uint64_t capabilities,
                                                const std::string& kernel) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return Malformed("not a JSON object");
  SeccompProfile profile;
  PINION_ASSIGN_OR_RETURN(const uint32_t error,
                          GetErrno(root, "defaultErrnoRet"));
  PINION_ASSIGN_OR_RETURN(const std::string action,
                          GetString(root, "defaultAction"));
  PINION_ASSIGN_OR_RETURN(profile.default_action, ParseAction(action, error));
  PINION_ASSIGN_OR_RETURN(profile.flags, ParseFlags(root));
  PINION_RETURN_IF_ERROR(ParseArchitectures(root, profile));
  const auto syscalls = root.find("syscalls");
  if (syscalls == root.end() || syscalls->is_null()) return profile;
  if (!syscalls->is_array()) return Malformed("syscalls is not a list");
  const Environment environment = {capabilities, kernel};
  for (const Json& entry : *syscalls) {
    PINION_RETURN_IF_ERROR(ParseEntry(entry, environment, profile));
    if (profile.rules.size() > kMaxRules) return Malformed("too many rules");
  }
  return profile;
}

}  // namespace pinion::plan
