#include "cri/streaming/spdy_reader.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/streaming/big_endian.h"

namespace pinion::cri::streaming {
namespace {

constexpr uint32_t kControlBit = 0x80000000;
constexpr uint32_t kLengthMask = 0x00ffffff;

}  // namespace

absl::Status SpdyReader::Receive(std::string_view bytes, SpdyFrames& frames) {
  while (!bytes.empty()) {
    if (in_data_) {
      PINION_RETURN_IF_ERROR(PassData(&bytes, frames));
      continue;
    }
    const size_t take = std::min(wanted_ - held_.size(), bytes.size());
    held_.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
    if (held_.size() == wanted_) PINION_RETURN_IF_ERROR(BeginFrame(frames));
  }
  return absl::OkStatus();
}

// `held_` has a frame's head, or a whole control frame.
absl::Status SpdyReader::BeginFrame(SpdyFrames& frames) {
  const uint32_t first = ReadBigEndian32(held_, 0);
  const uint32_t second = ReadBigEndian32(held_, 4);
  const auto flags = static_cast<uint8_t>(second >> 24);
  const size_t length = second & kLengthMask;
  if ((first & kControlBit) == 0) {
    held_.clear();
    stream_ = first;
    fin_ = (flags & kSpdyFin) != 0;
    if (length == 0) return frames.OnDataPiece(stream_, {}, fin_);
    in_data_ = true;
    data_left_ = length;
    return absl::OkStatus();
  }
  if (wanted_ == kHeadBytes) {
    if ((first >> 16 & 0x7fff) != kSpdyVersion) {
      return absl::InvalidArgumentError("SPDY: not version 3");
    }
    if (length > kMaxControlPayload) {
      return absl::InvalidArgumentError(
          absl::StrCat("SPDY: a control frame of ", length, " bytes"));
    }
    wanted_ += length;
    if (length > 0) return absl::OkStatus();
  }
  wanted_ = kHeadBytes;
  std::string frame;
  frame.swap(held_);
  return frames.OnControl(static_cast<SpdyControl>(first & 0xffff), flags,
                          std::string_view(frame).substr(kHeadBytes));
}

absl::Status SpdyReader::PassData(std::string_view* bytes, SpdyFrames& frames) {
  const size_t take = std::min(data_left_, bytes->size());
  const std::string_view piece = bytes->substr(0, take);
  bytes->remove_prefix(take);
  data_left_ -= take;
  in_data_ = data_left_ > 0;
  return frames.OnDataPiece(stream_, piece, fin_ && !in_data_);
}

}  // namespace pinion::cri::streaming
