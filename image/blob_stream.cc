#include "image/blob_stream.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace pinion::image {
namespace {

// A connection that brought at least this much was worth another: so a blob
// takes a bounded number of connections, however often they break.
constexpr uint64_t kProgress = 4096;

}  // namespace

BlobStream::BlobStream(RegistryClient* registry, const Descriptor& descriptor)
    : registry_(registry),
      descriptor_(descriptor),
      remote_(registry->preferred_) {}

size_t BlobStream::NextRemote() const {
  return (remote_ + 1) % registry_->remotes_.size();
}

absl::Status BlobStream::Connect(std::chrono::seconds& retry_after) {
  const RegistryClient::Remote& remote = registry_->remotes_[remote_];
  if (!remote.endpoint.pull) {
    return absl::NotFoundError("the endpoint serves no blobs");
  }
  const RegistryClient::Attempt attempt = {
      absl::StrCat("blobs/", descriptor_.digest.text()), "", offset_};
  PINION_ASSIGN_OR_RETURN(transfer_,
                          registry_->Try(remote, attempt, retry_after));
  return CheckRange(transfer_->response());
}

absl::Status BlobStream::CheckRange(const HttpResponse& response) {
  skip_ = 0;
  uint64_t length = 0;
  const bool has_length =
      absl::SimpleAtoi(response.Header("content-length"), &length);
  if (response.status == 200) {
    skip_ = offset_;
    if (has_length && length != descriptor_.size) {
      return absl::InvalidArgumentError(
          absl::StrCat("blob ", descriptor_.digest.text(), " has ", length,
                       " bytes, not ", descriptor_.size, " as promised"));
    }
    return absl::OkStatus();
  }
  const std::string want = absl::StrCat("bytes ", offset_, "-");
  if (response.Header("content-range").compare(0, want.size(), want) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("blob ", descriptor_.digest.text(),
                     ": the server sends another range than asked for"));
  }
  return absl::OkStatus();
}

absl::Status BlobStream::Recover(const absl::Status& error,
                                 std::chrono::seconds retry_after) {
  transfer_.reset();
  PINION_RETURN_IF_ERROR(registry_->cancel_->Check());
  const bool progress = offset_ - offset_at_failure_ >= kProgress;
  offset_at_failure_ = offset_;
  failures_ = progress ? 1 : failures_ + 1;
  if (absl::IsUnavailable(error) && failures_ < registry_->policy_.tries) {
    // After progress at once: a link that breaks now and then is no sign of
    // an overloaded server.
    if (progress && retry_after.count() == 0) return absl::OkStatus();
    return registry_->Pause(failures_, retry_after);
  }
  if (remotes_tried_ >= registry_->remotes_.size()) return error;
  ++remotes_tried_;
  remote_ = NextRemote();
  failures_ = 0;
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> BlobStream::Take(std::string_view chunk) {
  const uint64_t skipped = std::min<uint64_t>(skip_, chunk.size());
  chunk.remove_prefix(skipped);
  skip_ -= skipped;
  if (chunk.size() > descriptor_.size - offset_) {
    return absl::InvalidArgumentError(
        absl::StrCat("blob ", descriptor_.digest.text(), " has more than the ",
                     descriptor_.size, " bytes promised"));
  }
  offset_ += chunk.size();
  return chunk;
}

absl::StatusOr<std::string_view> BlobStream::Next() {
  while (true) {
    std::chrono::seconds retry_after{};
    absl::Status error;
    if (transfer_ == nullptr) {
      if (offset_ == descriptor_.size && offset_ > 0) return std::string_view();
      error = Connect(retry_after);
    }
    if (error.ok()) {
      auto chunk = transfer_->Next();
      if (chunk.ok() && !chunk->empty()) {
        PINION_ASSIGN_OR_RETURN(const std::string_view taken, Take(*chunk));
        if (!taken.empty()) return taken;
        continue;
      }
      if (chunk.ok() && offset_ == descriptor_.size) return std::string_view();
      error = chunk.ok() ? absl::UnavailableError(absl::StrCat(
                               "blob ", descriptor_.digest.text(), " ends at ",
                               offset_, " of ", descriptor_.size, " bytes"))
                         : chunk.status();
    }
    PINION_RETURN_IF_ERROR(Recover(error, retry_after));
  }
}

}  // namespace pinion::image
