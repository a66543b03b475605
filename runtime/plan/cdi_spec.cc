#include "runtime/plan/cdi_spec.h"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "runtime/plan/yaml.h"

namespace pinion::plan {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxEntries = 4096;

absl::Status Malformed(const std::string& what) {
  return absl::InvalidArgumentError(what);
}

// An object with none but these keys.
absl::Status CheckObject(const Json& value, const std::string& what,
                         std::initializer_list<const char*> known) {
  if (!value.is_object()) return Malformed(absl::StrCat(what, " is no object"));
  for (const auto& [key, unused] : value.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return Malformed(absl::StrCat(what, " has an unknown field ", key));
    }
  }
  return absl::OkStatus();
}

const Json* Find(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

absl::StatusOr<std::string> ToText(const Json& value, const char* key) {
  // As YAML's plain scalars may be meant: name: 0.
  if (value.is_number_unsigned()) return absl::StrCat(value.get<uint64_t>());
  if (!value.is_string()) {
    return Malformed(absl::StrCat(key, " is no string"));
  }
  std::string text = value.get<std::string>();
  if (text.find('\0') != std::string::npos || text.size() > 131072) {
    return Malformed(absl::StrCat(key, " is too long or holds a NUL byte"));
  }
  return text;
}

absl::StatusOr<std::string> GetText(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  if (value == nullptr) return std::string();
  return ToText(*value, key);
}

absl::StatusOr<std::string> GetPath(const Json& object, const char* key) {
  PINION_ASSIGN_OR_RETURN(std::string path, GetText(object, key));
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  if (path.empty() || path[0] != '/' || path.size() > 4095 ||
      std::count(parts.begin(), parts.end(), "..") != 0) {
    return Malformed(absl::StrCat(key, " \"", path, "\" is no absolute path"));
  }
  return path;
}

absl::StatusOr<std::optional<uint32_t>> GetNumber(const Json& object,
                                                  const char* key) {
  const Json* value = Find(object, key);
  if (value == nullptr) return std::optional<uint32_t>();
  if (!value->is_number_unsigned() || value->get<uint64_t>() > UINT32_MAX) {
    return Malformed(absl::StrCat(key, " is no number of 32 bits"));
  }
  return std::optional<uint32_t>(static_cast<uint32_t>(value->get<uint64_t>()));
}

absl::Status ForEach(const Json& object, const char* key,
                     const std::function<absl::Status(const Json&)>& f) {
  const Json* list = Find(object, key);
  if (list == nullptr) return absl::OkStatus();
  if (!list->is_array() || list->size() > kMaxEntries) {
    return Malformed(absl::StrCat(key, " is no list of at most ", kMaxEntries));
  }
  for (const Json& element : *list) PINION_RETURN_IF_ERROR(f(element));
  return absl::OkStatus();
}

absl::StatusOr<CdiNode> ParseNode(const Json& json) {
  PINION_RETURN_IF_ERROR(
      CheckObject(json, "a device node",
                  {"path", "hostPath", "type", "major", "minor", "fileMode",
                   "permissions", "uid", "gid"}));
  CdiNode node;
  PINION_ASSIGN_OR_RETURN(node.path, GetPath(json, "path"));
  PINION_ASSIGN_OR_RETURN(node.host_path, GetText(json, "hostPath"));
  if (!node.host_path.empty()) {
    PINION_ASSIGN_OR_RETURN(node.host_path, GetPath(json, "hostPath"));
  }
  PINION_ASSIGN_OR_RETURN(const std::string type, GetText(json, "type"));
  if (!type.empty() && type != "c" && type != "u" && type != "b") {
    return Malformed(absl::StrCat("device node ", node.path, " is of type \"",
                                  type, "\", neither c nor b"));
  }
  if (!type.empty()) node.type = type == "b" ? 'b' : 'c';
  PINION_ASSIGN_OR_RETURN(node.major, GetNumber(json, "major"));
  PINION_ASSIGN_OR_RETURN(node.minor, GetNumber(json, "minor"));
  PINION_ASSIGN_OR_RETURN(node.mode, GetNumber(json, "fileMode"));
  PINION_ASSIGN_OR_RETURN(node.uid, GetNumber(json, "uid"));
  PINION_ASSIGN_OR_RETURN(node.gid, GetNumber(json, "gid"));
  PINION_ASSIGN_OR_RETURN(const std::string access,
                          GetText(json, "permissions"));
  if (access.find_first_not_of("rwm") != std::string::npos) {
    return Malformed(absl::StrCat("permissions \"", access, "\""));
  }
  if (!access.empty()) node.permissions = access;
  // Numbers without a type, or half of them, name no device.
  if (node.type == 0 || !node.major.has_value()) node.major.reset();
  if (!node.major.has_value()) {
    node.minor.reset();
  } else if (!node.minor.has_value()) {
    node.minor = 0;
  }
  return node;
}

// The option's effect; false if it is not a bind mount's.
bool SetOption(const std::string& option, CdiMount& mount) {
  using Propagation = CdiMount::Propagation;
  if (option == "ro") {
    mount.readonly = true;
  } else if (option == "nosuid") {
    mount.nosuid = true;
  } else if (option == "nodev") {
    mount.nodev = true;
  } else if (option == "noexec") {
    mount.noexec = true;
  } else if (option == "rprivate" || option == "private") {
    mount.propagation = Propagation::kPrivate;
  } else if (option == "rslave" || option == "slave") {
    mount.propagation = Propagation::kSlave;
  } else if (option == "rshared" || option == "shared") {
    mount.propagation = Propagation::kShared;
  } else {
    return option == "rw" || option == "bind" || option == "rbind" ||
           option == "suid" || option == "dev" || option == "exec";
  }
  return true;
}

absl::Status AddMount(const Json& json, CdiEdits& edits) {
  PINION_RETURN_IF_ERROR(CheckObject(
      json, "a mount", {"hostPath", "containerPath", "type", "options"}));
  CdiMount mount;
  PINION_ASSIGN_OR_RETURN(mount.host_path, GetPath(json, "hostPath"));
  PINION_ASSIGN_OR_RETURN(mount.container_path, GetPath(json, "containerPath"));
  if (mount.container_path.find_first_not_of("/.") == std::string::npos) {
    return Malformed("containerPath is the root");
  }
  const std::string phrase = absl::StrCat("mount ", mount.container_path);
  PINION_ASSIGN_OR_RETURN(const std::string type, GetText(json, "type"));
  if (!type.empty() && type != "bind" && type != "none") {
    edits.unsupported.push_back(absl::StrCat(phrase, " of type ", type));
  }
  PINION_RETURN_IF_ERROR(
      ForEach(json, "options", [&](const Json& element) -> absl::Status {
        PINION_ASSIGN_OR_RETURN(const std::string option,
                                ToText(element, "options"));
        if (!SetOption(option, mount)) {
          edits.unsupported.push_back(
              absl::StrCat(phrase, " with option ", option));
        }
        return absl::OkStatus();
      }));
  edits.mounts.push_back(std::move(mount));
  return absl::OkStatus();
}

absl::Status AddHook(const Json& json, CdiEdits& edits) {
  PINION_RETURN_IF_ERROR(CheckObject(
      json, "a hook", {"hookName", "path", "args", "env", "timeout"}));
  PINION_ASSIGN_OR_RETURN(const std::string name, GetText(json, "hookName"));
  PINION_ASSIGN_OR_RETURN(const std::string path, GetText(json, "path"));
  edits.unsupported.push_back(absl::StrCat("hook ", name, " (", path, ")"));
  return absl::OkStatus();
}

absl::Status AddNetDevice(const Json& json, CdiEdits& edits) {
  PINION_RETURN_IF_ERROR(
      CheckObject(json, "a network device", {"hostInterfaceName", "name"}));
  PINION_ASSIGN_OR_RETURN(const std::string name,
                          GetText(json, "hostInterfaceName"));
  edits.unsupported.push_back(absl::StrCat("network device ", name));
  return absl::OkStatus();
}

absl::Status AddEnv(const Json& element, CdiEdits& edits) {
  PINION_ASSIGN_OR_RETURN(std::string entry, ToText(element, "env"));
  if (entry.find('=') == std::string::npos || entry[0] == '=') {
    return Malformed(absl::StrCat("env \"", entry, "\" is no KEY=VALUE"));
  }
  edits.env.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::StatusOr<CdiEdits> ParseEdits(const Json& object) {
  CdiEdits edits;
  const Json* json = Find(object, "containerEdits");
  if (json == nullptr) return edits;
  PINION_RETURN_IF_ERROR(
      CheckObject(*json, "containerEdits",
                  {"env", "deviceNodes", "netDevices", "mounts", "hooks",
                   "additionalGids", "intelRdt"}));
  PINION_RETURN_IF_ERROR(ForEach(
      *json, "env", [&edits](const Json& e) { return AddEnv(e, edits); }));
  PINION_RETURN_IF_ERROR(
      ForEach(*json, "deviceNodes", [&edits](const Json& e) -> absl::Status {
        PINION_ASSIGN_OR_RETURN(CdiNode node, ParseNode(e));
        edits.nodes.push_back(std::move(node));
        return absl::OkStatus();
      }));
  PINION_RETURN_IF_ERROR(ForEach(
      *json, "mounts", [&edits](const Json& e) { return AddMount(e, edits); }));
  PINION_RETURN_IF_ERROR(ForEach(
      *json, "hooks", [&edits](const Json& e) { return AddHook(e, edits); }));
  PINION_RETURN_IF_ERROR(ForEach(*json, "netDevices", [&edits](const Json& e) {
    return AddNetDevice(e, edits);
  }));
  PINION_RETURN_IF_ERROR(
      ForEach(*json, "additionalGids", [&edits](const Json& e) -> absl::Status {
        if (!e.is_number_unsigned() || e.get<uint64_t>() > INT32_MAX) {
          return Malformed("additionalGids holds no group id");
        }
        edits.gids.push_back(static_cast<uint32_t>(e.get<uint64_t>()));
        return absl::OkStatus();
      }));
  if (Find(*json, "intelRdt") != nullptr) {
    edits.unsupported.push_back("intelRdt");
  }
  return edits;
}

// Letters, digits and `between`, the first and the last not of the latter.
bool IsWord(const std::string& word, const char* between, bool digit_first) {
  if (word.empty() || word.size() > 253) return false;
  const auto first = static_cast<unsigned char>(word.front());
  const auto last = static_cast<unsigned char>(word.back());
  if (!absl::ascii_isalpha(first) &&
      !(digit_first && absl::ascii_isdigit(first))) {
    return false;
  }
  return absl::ascii_isalnum(last) &&
         std::all_of(word.begin(), word.end(), [between](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  std::string(between).find(c) != std::string::npos;
         });
}

bool IsKind(const std::string& kind) {
  const size_t slash = kind.find('/');
  return slash != std::string::npos &&
         IsWord(kind.substr(0, slash), "_-.", false) &&
         IsWord(kind.substr(slash + 1), "_-.", false);
}

bool IsDeviceName(const std::string& name) {
  return IsWord(name, "_-.:", true);
}

// 0.x and 1.x: what is new in a later one shows as an unknown field.
absl::Status CheckVersion(const Json& json) {
  PINION_ASSIGN_OR_RETURN(const std::string text, GetText(json, "cdiVersion"));
  const std::vector<std::string> parts =
      absl::StrSplit(text.substr(text.rfind('v', 0) == 0 ? 1 : 0), '.');
  int major = -1;
  if (parts.size() == 3 && absl::SimpleAtoi(parts[0], &major) && major >= 0 &&
      major <= 1) {
    return absl::OkStatus();
  }
  return Malformed(absl::StrCat("cdiVersion \"", text, "\" is not supported"));
}

absl::StatusOr<Json> ToJson(const std::string& text, CdiFormat format) {
  if (format == CdiFormat::kYaml) return YamlToJson(text);
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Malformed("malformed JSON");
  return json;
}

}  // namespace

bool IsCdiName(const std::string& name) {
  const size_t equals = name.find('=');
  return equals != std::string::npos && IsKind(name.substr(0, equals)) &&
         IsDeviceName(name.substr(equals + 1));
}

absl::StatusOr<CdiSpec> ParseCdiSpec(const std::string& text,
                                     CdiFormat format) {
  PINION_ASSIGN_OR_RETURN(const Json json, ToJson(text, format));
  PINION_RETURN_IF_ERROR(CheckObject(
      json, "the file",
      {"cdiVersion", "kind", "annotations", "devices", "containerEdits"}));
  PINION_RETURN_IF_ERROR(CheckVersion(json));
  CdiSpec spec;
  PINION_ASSIGN_OR_RETURN(spec.kind, GetText(json, "kind"));
  if (!IsKind(spec.kind)) {
    return Malformed(
        absl::StrCat("kind \"", spec.kind, "\" is not vendor/class"));
  }
  PINION_ASSIGN_OR_RETURN(spec.edits, ParseEdits(json));
  std::set<std::string> names;
  PINION_RETURN_IF_ERROR(
      ForEach(json, "devices", [&](const Json& entry) -> absl::Status {
        PINION_RETURN_IF_ERROR(CheckObject(
            entry, "a device", {"name", "annotations", "containerEdits"}));
        CdiDevice device;
        PINION_ASSIGN_OR_RETURN(device.name, GetText(entry, "name"));
        if (!IsDeviceName(device.name) || !names.insert(device.name).second) {
          return Malformed(absl::StrCat("device name \"", device.name,
                                        "\" is malformed or comes twice"));
        }
        PINION_ASSIGN_OR_RETURN_AS(device.edits, ParseEdits(entry),
                                   absl::StrCat("device ", device.name));
        spec.devices.push_back(std::move(device));
        return absl::OkStatus();
      }));
  return spec;
}

}  // namespace pinion::plan
