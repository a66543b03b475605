#include "image/config.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "image/manifest.h"

namespace pinion::image {
namespace {

absl::Status ParseProcess(const Json& json, ImageConfig& config) {
  PINION_ASSIGN_OR_RETURN(config.entrypoint, JsonStrings(json, "Entrypoint"));
  PINION_ASSIGN_OR_RETURN(config.cmd, JsonStrings(json, "Cmd"));
  PINION_ASSIGN_OR_RETURN(config.env, JsonStrings(json, "Env"));
  PINION_ASSIGN_OR_RETURN(config.working_dir, JsonString(json, "WorkingDir"));
  PINION_ASSIGN_OR_RETURN(config.user, JsonString(json, "User"));
  PINION_ASSIGN_OR_RETURN(config.stop_signal, JsonString(json, "StopSignal"));
  PINION_ASSIGN_OR_RETURN(config.labels, JsonStringMap(json, "Labels"));
  PINION_ASSIGN_OR_RETURN(const Json* volumes, JsonObject(json, "Volumes"));
  if (volumes != nullptr) {
    for (const auto& [path, unused] : volumes->items()) {
      config.volumes.push_back(path);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ParsedConfig> ParseConfig(std::string_view text) {
  const std::string what = "image configuration";
  PINION_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(text, what));
  PINION_ASSIGN_OR_RETURN_AS(const std::string os, JsonString(json, "os"),
                             what);
  if (!os.empty() && os != "linux") {
    return absl::InvalidArgumentError(
        absl::StrCat("image is for ", os.substr(0, 50), ", not for linux"));
  }
  PINION_ASSIGN_OR_RETURN_AS(const Json* rootfs, JsonObject(json, "rootfs"),
                             what);
  if (rootfs == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(what, " has no rootfs"));
  }
  PINION_ASSIGN_OR_RETURN_AS(const std::string type,
                             JsonString(*rootfs, "type"), what);
  PINION_ASSIGN_OR_RETURN_AS(const std::vector<std::string> diff_ids,
                             JsonStrings(*rootfs, "diff_ids"), what);
  if ((!type.empty() && type != "layers") || diff_ids.size() > kMaxLayers) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " has a rootfs that is no list of layers"));
  }
  ParsedConfig result;
  for (const std::string& diff_id : diff_ids) {
    PINION_ASSIGN_OR_RETURN_AS(Digest digest, Digest::Parse(diff_id), what);
    result.diff_ids.push_back(std::move(digest));
  }
  PINION_ASSIGN_OR_RETURN_AS(const Json* process, JsonObject(json, "config"),
                             what);
  if (process != nullptr) {
    PINION_RETURN_IF_ERROR_AS(ParseProcess(*process, result.config), what);
  }
  return result;
}

}  // namespace pinion::image
