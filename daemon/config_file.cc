#include "daemon/config_file.h"

#include <fcntl.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/toml.h"
#include "daemon/config_checks.h"
#include "os/file.h"

namespace pinion::daemon {
namespace {

absl::Status At(const std::string& file, const toml::source_region& source,
                const std::string& message) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", source.begin.line, ": ", message));
}

// nullopt: a type that no key has (float, date, nested list).
std::optional<ConfigValue> ToValue(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<int64_t>()) return *number;
  if (const auto flag = node.value_exact<bool>()) return *flag;
  const toml::array* array = node.as_array();
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> list;
  for (const toml::node& item : *array) {
    const auto text = item.value_exact<std::string>();
    if (!text) return std::nullopt;
    list.push_back(*text);
  }
  return list;
}

absl::Status UnknownKey(const std::string& file, const toml::node& node,
                        const std::string& name, const std::string& nearest) {
  return At(file, node.source(),
            absl::StrCat(name, ": unknown key",
                         nearest.empty()
                             ? ""
                             : absl::StrCat("; did you mean ", nearest, "?")));
}

bool IsSection(const std::string& name) {
  for (const ConfigKey& key : ConfigKeys()) {
    if (absl::StartsWith(key.name, absl::StrCat(name, "."))) return true;
  }
  return false;
}

absl::Status ApplyKey(const ConfigKey& key, const toml::node& node,
                      const std::string& file, Config* config) {
  const std::optional<ConfigValue> value = ToValue(node);
  const absl::Status applied =
      value ? key.apply(*value, config)
            : absl::InvalidArgumentError(absl::StrCat(
                  "must look like ", key.default_value, ", its default"));
  if (!applied.ok()) {
    return At(file, node.source(),
              absl::StrCat(key.name, ": ", std::string(applied.message())));
  }
  config->origins[key.name] = absl::StrCat(file, ":", node.source().begin.line);
  return absl::OkStatus();
}

// [network.secondary.NAME], of which there may be any number.
absl::Status ApplySecondaryNetwork(const std::string& network,
                                   const toml::table& table,
                                   const std::string& file, Config* config) {
  if (const absl::Status status = HandlerName(network); !status.ok()) {
    return At(file, table.source(),
              absl::StrCat("[network.secondary.…]: the name ",
                           std::string(status.message())));
  }
  config->network.secondary[network];
  const std::vector<ConfigKey> keys = SecondaryNetworkKeys(network);
  for (const auto& [leaf, node] : table) {
    const std::string name = absl::StrCat("network.secondary.", network, ".",
                                          std::string(leaf.str()));
    const auto key =
        std::find_if(keys.begin(), keys.end(),
                     [&](const ConfigKey& one) { return one.name == name; });
    if (key == keys.end()) {
      return UnknownKey(file, node, name, NearestConfigKey(name, keys));
    }
    PINION_RETURN_IF_ERROR(ApplyKey(*key, node, file, config));
  }
  return absl::OkStatus();
}

absl::Status ApplySecondaryNetworks(const toml::node& node,
                                    const std::string& file, Config* config) {
  const absl::Status wrong = At(file, node.source(),
                                "network.secondary: must be tables such as "
                                "[network.secondary.storage]");
  const toml::table* const networks = node.as_table();
  if (networks == nullptr) return wrong;
  for (const auto& [name, network] : *networks) {
    const toml::table* const table = network.as_table();
    if (table == nullptr) return wrong;
    PINION_RETURN_IF_ERROR(
        ApplySecondaryNetwork(std::string(name.str()), *table, file, config));
  }
  return absl::OkStatus();
}

absl::Status ApplyTable(const toml::table& table, const std::string& prefix,
                        const std::string& file, Config* config) {
  for (const auto& [toml_key, node] : table) {
    const std::string name = absl::StrCat(prefix, std::string(toml_key.str()));
    if (name == "network.secondary") {
      PINION_RETURN_IF_ERROR(ApplySecondaryNetworks(node, file, config));
      continue;
    }
    if (const toml::table* section = node.as_table();
        section != nullptr && prefix.empty()) {
      if (!IsSection(name)) {
        return At(file, node.source(),
                  absl::StrCat("[", name, "]: unknown section"));
      }
      PINION_RETURN_IF_ERROR(
          ApplyTable(*section, absl::StrCat(name, "."), file, config));
      continue;
    }
    const ConfigKey* key = FindConfigKey(name);
    if (key == nullptr) {
      return UnknownKey(file, node, name, NearestConfigKey(name));
    }
    PINION_RETURN_IF_ERROR(ApplyKey(*key, node, file, config));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyToml(const std::string& text, const std::string& file,
                       Config* config) {
  toml::table table;
  try {
    table = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return At(
        file, error.source(),
        absl::StrCat("no valid TOML: ", std::string(error.description())));
  } catch (const TomlAssertion&) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": no valid TOML"));
  }
  return ApplyTable(table, "", file, config);
}

absl::Status ReadConfigFiles(const std::string& path, bool optional,
                             Config* config) {
  const auto text = os::ReadFileAt(AT_FDCWD, path);
  if (text.ok()) {
    PINION_RETURN_IF_ERROR(ApplyToml(*text, path, config));
  } else if (!optional || !absl::IsNotFound(text.status())) {
    return Annotate(text.status(), "configuration");
  }
  std::string directory = path;
  if (absl::EndsWith(directory, ".toml")) {
    directory.resize(directory.size() - 5);
  }
  absl::StrAppend(&directory, ".conf.d");
  const auto names = os::ListDirAt(AT_FDCWD, directory);
  if (!names.ok()) {
    return absl::IsNotFound(names.status())
               ? absl::OkStatus()
               : Annotate(names.status(), "configuration");
  }
  for (const std::string& name : *names) {
    if (!absl::EndsWith(name, ".toml") || name[0] == '.') continue;
    const std::string file = absl::StrCat(directory, "/", name);
    PINION_ASSIGN_OR_RETURN_AS(const std::string drop_in,
                               os::ReadFileAt(AT_FDCWD, file), "configuration");
    PINION_RETURN_IF_ERROR(ApplyToml(drop_in, file, config));
  }
  return absl::OkStatus();
}

}  // namespace pinion::daemon
