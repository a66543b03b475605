#include "network/cni/config.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/file.h"

namespace pinion::network::cni {
namespace {

// Ascending.
constexpr std::array<absl::string_view, 5> kVersions = {
    "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
constexpr size_t kMaxPlugins = 32;
constexpr size_t kMaxFile = size_t{1} << 20;

// ^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$
bool IsName(const std::string& text) {
  return !text.empty() && text.size() <= 253 &&
         absl::ascii_isalnum(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '_' || c == '.' || c == '-';
         });
}

absl::StatusOr<bool> Flag(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return false;
  if (found->is_boolean()) return found->get<bool>();
  // 1.0.0 allowed the strings, too.
  if (*found == "true") return true;
  if (*found == "false") return false;
  return absl::InvalidArgumentError(
      absl::StrCat(key, " must be true or false"));
}

absl::StatusOr<Plugin> ToPlugin(const Json& conf) {
  if (!conf.is_object()) {
    return absl::InvalidArgumentError("an entry of plugins is no object");
  }
  Plugin plugin;
  PINION_ASSIGN_OR_RETURN(plugin.type, JsonString(conf, "type"));
  if (!IsName(plugin.type)) {
    return absl::InvalidArgumentError(
        absl::StrCat("type \"", plugin.type, "\" is no file name of a plugin"));
  }
  PINION_RETURN_IF_ERROR(JsonObject(conf, "capabilities").status());
  plugin.conf = conf;
  return plugin;
}

// What "cniVersion" and "cniVersions" (1.1.0) leave to choose from.
absl::StatusOr<std::vector<std::string>> SpokenVersions(const Json& document) {
  PINION_ASSIGN_OR_RETURN(const std::string version,
                          JsonString(document, "cniVersion"));
  PINION_ASSIGN_OR_RETURN(std::vector<std::string> offered,
                          JsonStrings(document, "cniVersions"));
  offered.push_back(version);
  std::vector<std::string> spoken;
  for (const absl::string_view known : kVersions) {
    if (std::find(offered.begin(), offered.end(), known) != offered.end()) {
      spoken.emplace_back(known);
    }
  }
  if (!spoken.empty()) return spoken;
  return absl::InvalidArgumentError(
      absl::StrCat("cniVersion \"", version, "\": pinion speaks ",
                   kVersions.front(), " to ", kVersions.back()));
}

bool IsConfigFile(const std::string& name) {
  return name[0] != '.' &&
         (absl::EndsWith(name, ".conflist") || absl::EndsWith(name, ".conf") ||
          absl::EndsWith(name, ".json"));
}

}  // namespace

absl::StatusOr<NetworkList> FromJson(const Json& document) {
  NetworkList list;
  PINION_ASSIGN_OR_RETURN(list.name, JsonString(document, "name"));
  if (!IsName(list.name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("name \"", list.name, "\" is no name of a CNI network"));
  }
  PINION_ASSIGN_OR_RETURN(list.versions, SpokenVersions(document));
  list.version = list.versions.back();
  PINION_ASSIGN_OR_RETURN(list.disable_check, Flag(document, "disableCheck"));
  PINION_ASSIGN_OR_RETURN(list.disable_gc, Flag(document, "disableGC"));
  PINION_ASSIGN_OR_RETURN(const Json* plugins, JsonArray(document, "plugins"));
  if (plugins == nullptr) {
    PINION_ASSIGN_OR_RETURN(Plugin plugin, ToPlugin(document));
    list.plugins.push_back(std::move(plugin));
    return list;
  }
  if (plugins->empty() || plugins->size() > kMaxPlugins) {
    return absl::InvalidArgumentError(
        absl::StrCat("plugins must have 1 to ", kMaxPlugins, " entries"));
  }
  for (const Json& conf : *plugins) {
    PINION_ASSIGN_OR_RETURN(Plugin plugin, ToPlugin(conf));
    list.plugins.push_back(std::move(plugin));
  }
  return list;
}

absl::StatusOr<NetworkList> ParseList(std::string_view text) {
  PINION_ASSIGN_OR_RETURN(const Json document,
                          ParseJsonObject(text, "the CNI configuration"));
  return FromJson(document);
}

Json ToJson(const NetworkList& list) {
  Json plugins = Json::array();
  for (const Plugin& plugin : list.plugins) plugins.push_back(plugin.conf);
  return {{"name", list.name},
          {"cniVersion", list.version},
          {"cniVersions", list.versions},
          {"disableCheck", list.disable_check},
          {"disableGC", list.disable_gc},
          {"plugins", std::move(plugins)}};
}

absl::StatusOr<NetworkList> LoadList(const std::string& directory) {
  auto names = os::ListDirAt(AT_FDCWD, directory);
  if (!names.ok() && !absl::IsNotFound(names.status())) return names.status();
  if (names.ok()) {
    for (const std::string& name : *names) {
      if (!IsConfigFile(name)) continue;
      const std::string path = absl::StrCat(directory, "/", name);
      std::error_code error;  // then reading it says what is wrong
      if (std::filesystem::is_directory(path, error)) continue;
      PINION_ASSIGN_OR_RETURN(const std::string text,
                              os::ReadFileAt(AT_FDCWD, path, kMaxFile));
      absl::StatusOr<NetworkList> list = ParseList(text);
      if (!list.ok()) return Annotate(list.status(), path);
      return list;
    }
  }
  return absl::NotFoundError(absl::StrCat(
      "no .conflist, .conf or .json file in ", directory,
      ": install a CNI add-on, or write one (network.cni_conf_dir)"));
}

bool IsAtLeast(const NetworkList& list, std::string_view version) {
  const auto at = [](absl::string_view v) {
    return std::find(kVersions.begin(), kVersions.end(), v);
  };
  return at(list.version) >= at({version.data(), version.size()});
}

std::string ExecutionConfig(const NetworkList& list, const Plugin& plugin,
                            const CapabilityArgs& arguments,
                            const Json& previous) {
  Json conf = plugin.conf;
  conf["name"] = list.name;
  conf["cniVersion"] = list.version;
  Json runtime = Json::object();
  if (const auto declared = conf.find("capabilities");
      declared != conf.end() && declared->is_object()) {
    for (const auto& [capability, value] : arguments) {
      if (declared->value(capability, Json()) == true) {
        runtime[capability] = value;
      }
    }
  }
  conf.erase("capabilities");
  if (!runtime.empty()) conf["runtimeConfig"] = std::move(runtime);
  if (!previous.is_null()) conf["prevResult"] = previous;
  return conf.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace pinion::network::cni
