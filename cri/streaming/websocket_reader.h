// Cuts what a WebSocket client sends into frames (RFC 6455), unmasks them,
// and keeps to the rules of fragments and control frames. Messages are passed
// on in pieces as they arrive; only control frames (at most 125 bytes) are
// collected.
//
// Not thread-safe.

#ifndef PINION_CRI_STREAMING_WEBSOCKET_READER_H_
#define PINION_CRI_STREAMING_WEBSOCKET_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace pinion::cri::streaming {

// RFC 6455, 5.2.
enum class WebSocketOpcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

// One frame; nothing depends on it but that a length is no nonsense.
inline constexpr uint64_t kMaxWebSocketFrame = uint64_t{1} << 30;

class WebSocketEvents {
 public:
  virtual ~WebSocketEvents() = default;
  // A piece of a message, `first` and `last` of it. May be empty.
  virtual absl::Status OnMessage(WebSocketOpcode opcode, std::string_view piece,
                                 bool first, bool last) = 0;
  // kClose, kPing or kPong with its whole payload.
  virtual absl::Status OnControl(WebSocketOpcode opcode,
                                 std::string_view payload) = 0;
};

class WebSocketReader {
 public:
  // InvalidArgument: against the protocol; or what `events` returned. Nothing
  // may follow an error.
  absl::Status Receive(std::string_view bytes, WebSocketEvents& events);

 private:
  absl::Status OnHead();
  absl::Status OnPayload(std::string_view piece, WebSocketEvents& events);
  absl::Status FinishFrame(WebSocketEvents& events);
  bool IsControl() const { return opcode_ >= WebSocketOpcode::kClose; }

  // The frame's head as far as it has come.
  std::string head_;
  size_t head_size_ = 2;
  bool in_payload_ = false;

  bool fin_ = false;
  WebSocketOpcode opcode_ = WebSocketOpcode::kBinary;
  uint64_t left_ = 0;
  uint64_t offset_ = 0;
  unsigned char mask_[4] = {};

  std::string control_;
  bool in_message_ = false;
  WebSocketOpcode message_opcode_ = WebSocketOpcode::kBinary;
  bool message_begun_ = false;  // its first piece was passed on
};

// A whole frame of the server's: not masked.
void AppendWebSocketFrame(WebSocketOpcode opcode, std::string_view payload,
                          std::string* out);

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_WEBSOCKET_READER_H_
