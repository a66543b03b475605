#include "daemon/config_file.h"

#include <fcntl.h>

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/toml.h"
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
                        const std::string& name) {
  const std::string nearest = NearestConfigKey(name);
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

absl::Status ApplyTable(const toml::table& table, const std::string& prefix,
                        const std::string& file, Config* config) {
  for (const auto& [toml_key, node] : table) {
    const std::string name = absl::StrCat(prefix, std::string(toml_key.str()));
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
    if (key == nullptr) return UnknownKey(file, node, name);
    const std::optional<ConfigValue> value = ToValue(node);
    const absl::Status applied =
        value ? key->apply(*value, config)
              : absl::InvalidArgumentError(absl::StrCat(
                    "must look like ", key->default_value, ", its default"));
    if (!applied.ok()) {
      return At(file, node.source(),
                absl::StrCat(name, ": ", std::string(applied.message())));
    }
    config->origins[name] = absl::StrCat(file, ":", node.source().begin.line);
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
