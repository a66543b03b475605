#include "cri/translate_image.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/field.h"

namespace pinion::cri {
namespace {

constexpr size_t kMaxReference = 4096;
constexpr size_t kMaxSecret = size_t{256} << 10;

absl::Status CheckSecret(const Field& field, const std::string& value) {
  if (value.size() > kMaxSecret) {
    return RefuseField(
        field, absl::StrCat("must have at most ", kMaxSecret, " bytes"));
  }
  for (const char c : value) {
    // A line break would end an HTTP header early.
    if (c == '\0' || c == '\r' || c == '\n') {
      return RefuseField(field, "must hold neither NUL nor line breaks");
    }
  }
  return absl::OkStatus();
}

// A uid as the CRI allows it: 0 … 2³¹-1.
std::optional<int32_t> ParseUid(std::string_view text) {
  int32_t uid = -1;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), uid);
  if (error != std::errc() || end != text.data() + text.size() || uid < 0) {
    return std::nullopt;
  }
  return uid;
}

}  // namespace

absl::StatusOr<std::string> ToReference(const api::ImageSpec& spec) {
  const Field field("image.image");
  if (spec.image().empty()) return RefuseField(field, "must not be empty");
  PINION_RETURN_IF_ERROR(CheckLine(field, spec.image(), kMaxReference));
  return spec.image();
}

absl::StatusOr<image::Credentials> ToCredentials(const api::AuthConfig& auth) {
  const Field field("auth");
  PINION_RETURN_IF_ERROR(CheckSecret(field.Sub("username"), auth.username()));
  PINION_RETURN_IF_ERROR(CheckSecret(field.Sub("password"), auth.password()));
  PINION_RETURN_IF_ERROR(CheckSecret(field.Sub("auth"), auth.auth()));
  PINION_RETURN_IF_ERROR(
      CheckSecret(field.Sub("identity_token"), auth.identity_token()));
  PINION_RETURN_IF_ERROR(
      CheckSecret(field.Sub("registry_token"), auth.registry_token()));
  PINION_RETURN_IF_ERROR(
      CheckSecret(field.Sub("server_address"), auth.server_address()));
  image::Credentials out;
  out.username = auth.username();
  out.password = auth.password();
  out.auth = auth.auth();
  out.identity_token = auth.identity_token();
  out.registry_token = auth.registry_token();
  out.server_address = auth.server_address();
  return out;
}

void ToImage(const image::ImageInfo& info, api::Image* out) {
  out->set_id(info.id);
  for (const std::string& tag : info.repo_tags) out->add_repo_tags(tag);
  for (const std::string& digest : info.repo_digests) {
    out->add_repo_digests(digest);
  }
  out->set_size(info.size_bytes);
  const std::string user =
      info.config.user.substr(0, info.config.user.find(':'));
  if (const auto uid = ParseUid(user)) {
    out->mutable_uid()->set_value(*uid);
  } else {
    out->set_username(user);
  }
  out->set_pinned(info.pinned);
}

void ToFilesystemUsage(const image::FsUsage& usage, int64_t timestamp_ns,
                       api::FilesystemUsage* out) {
  out->set_timestamp(timestamp_ns);
  out->mutable_fs_id()->set_mountpoint(usage.mountpoint);
  out->mutable_used_bytes()->set_value(usage.used_bytes);
  out->mutable_inodes_used()->set_value(usage.inodes_used);
}

}  // namespace pinion::cri
