#include "image/byte_stream.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::image {

absl::StatusOr<std::string_view> HashingStream::Next() {
  if (ended_) return std::string_view();
  PINION_ASSIGN_OR_RETURN(const std::string_view chunk, source_->Next());
  ended_ = chunk.empty();
  if (chunk.size() > limit_ - size_) {
    return absl::InvalidArgumentError(
        absl::StrCat("more than the ", limit_, " bytes that are allowed"));
  }
  size_ += chunk.size();
  hasher_.Update(chunk);
  return chunk;
}

absl::Status HashingStream::Drain() {
  while (true) {
    PINION_ASSIGN_OR_RETURN(const std::string_view chunk, Next());
    if (chunk.empty()) return absl::OkStatus();
  }
}

absl::StatusOr<std::string> ReadStream(ByteStream& stream, size_t limit) {
  std::string data;
  while (true) {
    PINION_ASSIGN_OR_RETURN(const std::string_view chunk, stream.Next());
    if (chunk.empty()) return data;
    if (chunk.size() > limit - data.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("more than the ", limit, " bytes that are allowed"));
    }
    data.append(chunk);
  }
}

}  // namespace pinion::image
