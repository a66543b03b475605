#include "cri/streaming/websocket_reader.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/streaming/big_endian.h"

namespace pinion::cri::streaming {
namespace {

constexpr uint8_t kFinBit = 0x80;
constexpr uint8_t kReservedBits = 0x70;
constexpr uint8_t kOpcodeBits = 0x0f;
constexpr uint8_t kMaskBit = 0x80;
constexpr uint8_t kLengthBits = 0x7f;
constexpr size_t kMaxControl = 125;

absl::Status Bad(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("WebSocket: ", what));
}

// The whole head, once its first two bytes are there.
size_t HeadSize(std::string_view head) {
  const int length = head[1] & kLengthBits;
  const size_t more = length == 127 ? 8 : length == 126 ? 2 : 0;
  return 2 + more + 4;
}

}  // namespace

absl::Status WebSocketReader::Receive(std::string_view bytes,
                                      WebSocketEvents& events) {
  while (!bytes.empty()) {
    if (in_payload_) {
      const size_t take =
          static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      PINION_RETURN_IF_ERROR(OnPayload(bytes.substr(0, take), events));
      bytes.remove_prefix(take);
      continue;
    }
    const size_t take = std::min(head_size_ - head_.size(), bytes.size());
    head_.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
    if (head_.size() < head_size_) continue;
    if (head_size_ == 2) {
      if ((head_[1] & kMaskBit) == 0) return Bad("a frame without a mask");
      head_size_ = HeadSize(head_);
      continue;
    }
    PINION_RETURN_IF_ERROR(OnHead());
    if (left_ == 0) PINION_RETURN_IF_ERROR(FinishFrame(events));
  }
  return absl::OkStatus();
}

absl::Status WebSocketReader::OnHead() {
  const auto first = static_cast<uint8_t>(head_[0]);
  // No extension was agreed on that would use them.
  if ((first & kReservedBits) != 0) return Bad("reserved bits");
  fin_ = (first & kFinBit) != 0;
  opcode_ = static_cast<WebSocketOpcode>(first & kOpcodeBits);
  left_ = head_[1] & kLengthBits;
  if (left_ > kMaxControl) {
    left_ =
        ReadBigEndian(std::string_view(head_).substr(2, left_ == 127 ? 8 : 2));
  }
  if (left_ > kMaxWebSocketFrame) return Bad("too long a frame");
  std::memcpy(mask_, head_.data() + head_.size() - 4, 4);
  switch (opcode_) {
    case WebSocketOpcode::kContinuation:
      if (!in_message_) return Bad("a continuation of nothing");
      break;
    case WebSocketOpcode::kText:
    case WebSocketOpcode::kBinary:
      if (in_message_) return Bad("a message within a message");
      in_message_ = true;
      message_opcode_ = opcode_;
      message_begun_ = false;
      break;
    case WebSocketOpcode::kClose:
    case WebSocketOpcode::kPing:
    case WebSocketOpcode::kPong:
      if (!fin_ || left_ > kMaxControl) return Bad("control frame");
      control_.clear();
      break;
    default:
      return Bad("opcode");
  }
  head_.clear();
  head_size_ = 2;
  offset_ = 0;
  in_payload_ = left_ > 0;
  return absl::OkStatus();
}

absl::Status WebSocketReader::OnPayload(std::string_view piece,
                                        WebSocketEvents& events) {
  std::string plain(piece);
  for (char& c : plain) c = static_cast<char>(c ^ mask_[offset_++ % 4]);
  left_ -= piece.size();
  if (IsControl()) {
    control_ += plain;
  } else {
    const bool first = !message_begun_;
    message_begun_ = true;
    const bool last = fin_ && left_ == 0;
    if (last) in_message_ = false;
    PINION_RETURN_IF_ERROR(
        events.OnMessage(message_opcode_, plain, first, last));
  }
  if (left_ > 0) return absl::OkStatus();
  in_payload_ = false;
  return IsControl() ? events.OnControl(opcode_, control_) : absl::OkStatus();
}

// A frame without payload.
absl::Status WebSocketReader::FinishFrame(WebSocketEvents& events) {
  if (IsControl()) return events.OnControl(opcode_, {});
  const bool first = !message_begun_;
  message_begun_ = true;
  if (fin_) in_message_ = false;
  return events.OnMessage(message_opcode_, {}, first, fin_);
}

void AppendWebSocketFrame(WebSocketOpcode opcode, std::string_view payload,
                          std::string* out) {
  out->push_back(static_cast<char>(kFinBit | static_cast<uint8_t>(opcode)));
  if (payload.size() <= kMaxControl) {
    out->push_back(static_cast<char>(payload.size()));
  } else if (payload.size() <= 0xffff) {
    out->push_back(126);
    AppendBigEndian(payload.size(), 2, out);
  } else {
    out->push_back(127);
    AppendBigEndian(payload.size(), 8, out);
  }
  out->append(payload);
}

}  // namespace pinion::cri::streaming
