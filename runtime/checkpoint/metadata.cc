#include "runtime/checkpoint/metadata.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/json.h"
#include "base/status_macros.h"

namespace pinion::checkpoint {
namespace {

constexpr char kSecurity[] = "dev.pinion.security-context";
constexpr char kMaker[] = "io.container.manager";
constexpr char kPinion[] = "pinion";

std::string Time(int64_t ns) {
  return absl::FormatTime(absl::RFC3339_full, absl::FromUnixNanos(ns),
                          absl::UTCTimeZone());
}

// What is not UTF-8 (an argument may be any bytes) is replaced: nothing that
// is read back may be.
std::string Text(const Json& json) {
  return json.dump(1, '\t', false, Json::error_handler_t::replace);
}

bool IsPipe(const std::string& name) {
  constexpr std::string_view kPrefix = "pipe:[";
  if (name.rfind(kPrefix, 0) != 0 || name.back() != ']') return false;
  const std::string_view digits = std::string_view(name).substr(
      kPrefix.size(), name.size() - kPrefix.size() - 1);
  return !digits.empty() && digits.size() <= 20 &&
         std::all_of(digits.begin(), digits.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

absl::Status ParseMount(const Json& json, Metadata& metadata) {
  if (!json.is_object()) {
    return absl::InvalidArgumentError("spec.dump: a mount is no object");
  }
  PINION_ASSIGN_OR_RETURN(const std::string type, JsonString(json, "type"));
  if (type != "bind") return absl::OkStatus();
  MountPoint mount;
  PINION_ASSIGN_OR_RETURN(mount.destination, JsonString(json, "destination"));
  if (mount.destination.empty() || mount.destination.front() != '/' ||
      mount.destination.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        "spec.dump: a mount's destination is no absolute path");
  }
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> options,
                          JsonStrings(json, "options"));
  mount.readonly =
      std::find(options.begin(), options.end(), "ro") != options.end();
  metadata.mounts.push_back(std::move(mount));
  return absl::OkStatus();
}

absl::Status ParseSpec(const std::string& text, Metadata& metadata) {
  PINION_ASSIGN_OR_RETURN(const Json spec, ParseJsonObject(text, "spec.dump"));
  PINION_ASSIGN_OR_RETURN(const auto annotations,
                          JsonStringMap(spec, "annotations"));
  const auto maker = annotations.find(kMaker);
  const auto security = annotations.find(kSecurity);
  if (maker == annotations.end() || maker->second != kPinion ||
      security == annotations.end()) {
    return absl::InvalidArgumentError(
        "spec.dump: the checkpoint was not made by pinion");
  }
  metadata.security = security->second;
  PINION_ASSIGN_OR_RETURN(const Json* mounts, JsonArray(spec, "mounts"));
  if (mounts == nullptr) return absl::OkStatus();
  for (const Json& mount : *mounts) {
    PINION_RETURN_IF_ERROR(ParseMount(mount, metadata));
  }
  return absl::OkStatus();
}

absl::Status ParseConfig(const std::string& text, Metadata& metadata) {
  PINION_ASSIGN_OR_RETURN(const Json config,
                          ParseJsonObject(text, "config.dump"));
  PINION_ASSIGN_OR_RETURN(metadata.id, JsonString(config, "id"));
  PINION_ASSIGN_OR_RETURN(metadata.name, JsonString(config, "name"));
  PINION_ASSIGN_OR_RETURN(metadata.image_id, JsonString(config, "rootfsImage"));
  PINION_ASSIGN_OR_RETURN(metadata.image_ref,
                          JsonString(config, "rootfsImageRef"));
  PINION_ASSIGN_OR_RETURN(metadata.image_name,
                          JsonString(config, "rootfsImageName"));
  if (!metadata.image_id.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("config.dump: rootfsImage is missing");
}

absl::Status ParseDescriptors(const std::string& text, Metadata& metadata) {
  PINION_ASSIGN_OR_RETURN(const Json list,
                          ParseJsonArray(text, "descriptors.json"));
  if (list.size() != metadata.stdio.size()) {
    return absl::InvalidArgumentError("descriptors.json: must have 3 entries");
  }
  for (size_t i = 0; i < metadata.stdio.size(); ++i) {
    std::string& name = metadata.stdio[i];
    if (list[i].is_string()) name = list[i].get<std::string>();
    if (IsPipe(name) || (i == 0 && name == "/dev/null")) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("descriptors.json: entry ", i, " is no pipe"));
  }
  return absl::OkStatus();
}

Json SpecOf(const Metadata& metadata) {
  Json mounts = Json::array();
  for (const MountPoint& mount : metadata.mounts) {
    mounts.push_back({{"destination", mount.destination},
                      {"type", "bind"},
                      {"source", mount.destination},
                      {"options", {"bind", mount.readonly ? "ro" : "rw"}}});
  }
  return {{"ociVersion", "1.0.2"},
          {"process",
           {{"terminal", false},
            {"user", {{"uid", metadata.uid}, {"gid", metadata.gid}}},
            {"args", metadata.argv},
            {"cwd", metadata.working_dir}}},
          {"root", {{"path", "rootfs"}}},
          {"hostname", metadata.hostname},
          {"mounts", std::move(mounts)},
          {"annotations",
           {{kMaker, kPinion},
            {kSecurity, metadata.security},
            {"io.kubernetes.container.name", metadata.name}}}};
}

}  // namespace

Documents ToDocuments(const Metadata& metadata) {
  const Json config = {{"id", metadata.id},
                       {"name", metadata.name},
                       {"rootfsImage", metadata.image_id},
                       {"rootfsImageRef", metadata.image_ref},
                       {"rootfsImageName", metadata.image_name},
                       {"runtime", kPinion},
                       {"createdTime", Time(metadata.created_at_ns)},
                       {"checkpointedTime", Time(metadata.checkpointed_at_ns)},
                       {"restoredTime", "0001-01-01T00:00:00Z"},
                       {"restored", false}};
  return {Text(config), Text(SpecOf(metadata)), Text(Json(metadata.stdio))};
}

absl::StatusOr<Metadata> ParseDocuments(const Documents& documents) {
  Metadata metadata;
  PINION_RETURN_IF_ERROR(ParseConfig(documents.config, metadata));
  PINION_RETURN_IF_ERROR(ParseSpec(documents.spec, metadata));
  PINION_RETURN_IF_ERROR(ParseDescriptors(documents.descriptors, metadata));
  return metadata;
}

}  // namespace pinion::checkpoint
