#include "network/cni/attachments.h"

#include <fcntl.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/file.h"

namespace pinion::network::cni {
namespace {

constexpr char kSuffix[] = ".json";

std::string FileOf(const std::string& pod_id) {
  return absl::StrCat(pod_id, kSuffix);
}

absl::StatusOr<Attachment> Parse(const std::string& text,
                                 const std::string& pod_id) {
  Attachment attachment;
  attachment.pod_id = pod_id;
  PINION_ASSIGN_OR_RETURN(const Json document,
                          ParseJsonObject(text, "the attachment"));
  PINION_ASSIGN_OR_RETURN(const Json* list, JsonObject(document, "list"));
  PINION_ASSIGN_OR_RETURN(const Json* arguments,
                          JsonObject(document, "capability_arguments"));
  if (list == nullptr || arguments == nullptr) {
    return absl::InvalidArgumentError("a member is missing");
  }
  PINION_ASSIGN_OR_RETURN(attachment.list, FromJson(*list));
  for (const auto& [name, value] : arguments->items()) {
    attachment.capability_arguments.emplace(name, value);
  }
  PINION_ASSIGN_OR_RETURN(attachment.arguments,
                          JsonString(document, "arguments"));
  PINION_ASSIGN_OR_RETURN(attachment.interface_name,
                          JsonString(document, "interface_name"));
  PINION_ASSIGN_OR_RETURN(attachment.netns_inode,
                          JsonSize(document, "netns_inode"));
  attachment.result = document.value("result", Json());
  return attachment;
}

}  // namespace

absl::StatusOr<AttachmentStore> AttachmentStore::Open(
    const std::string& directory) {
  PINION_RETURN_IF_ERROR(os::MakeDirs(directory, 0700));
  PINION_ASSIGN_OR_RETURN(
      os::UniqueFd fd, os::OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  return AttachmentStore(std::move(fd));
}

absl::Status AttachmentStore::Save(const Attachment& attachment,
                                   bool durable) const {
  const Json document = {
      {"list", ToJson(attachment.list)},
      {"capability_arguments", attachment.capability_arguments},
      {"arguments", attachment.arguments},
      {"interface_name", attachment.interface_name},
      {"netns_inode", attachment.netns_inode},
      {"result", attachment.result}};
  return os::ReplaceFileAt(
      directory_.get(), FileOf(attachment.pod_id),
      document.dump(1, ' ', false, Json::error_handler_t::replace), 0600,
      durable);
}

absl::StatusOr<Attachment> AttachmentStore::Load(
    const std::string& pod_id) const {
  const std::string file = FileOf(pod_id);
  PINION_ASSIGN_OR_RETURN(const std::string text,
                          os::ReadFileAt(directory_.get(), file));
  absl::StatusOr<Attachment> attachment = Parse(text, pod_id);
  if (attachment.ok()) return attachment;
  return absl::DataLossError(
      absl::StrCat("cni/", file, ": ", attachment.status().message()));
}

absl::Status AttachmentStore::Remove(const std::string& pod_id) const {
  return os::RemoveTreeAt(directory_.get(), FileOf(pod_id));
}

absl::StatusOr<std::vector<std::string>> AttachmentStore::List() const {
  PINION_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                          os::ListDirAt(directory_.get(), "."));
  std::vector<std::string> ids;
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, kSuffix)) continue;
    ids.push_back(name.substr(0, name.size() - (sizeof(kSuffix) - 1)));
  }
  return ids;
}

}  // namespace pinion::network::cni
