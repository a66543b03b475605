// Cuts a SPDY/3 connection's bytes into frames. Control frames come whole,
// data as it arrives, so that nothing of it is kept here.
//
// Not thread-safe.

#ifndef PINION_CRI_STREAMING_SPDY_READER_H_
#define PINION_CRI_STREAMING_SPDY_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace pinion::cri::streaming {

// SPDY draft 3, 2.6.
enum class SpdyControl : uint16_t {
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kHeaders = 8,
  kWindowUpdate = 9,
};

inline constexpr uint8_t kSpdyFin = 1;
inline constexpr uint8_t kSpdyUnidirectional = 2;
inline constexpr uint16_t kSpdyVersion = 3;
// A control frame's payload; compressed headers are the longest.
inline constexpr size_t kMaxControlPayload = 16384;

class SpdyFrames {
 public:
  virtual ~SpdyFrames() = default;
  // `type` may be one that SpdyControl does not name.
  virtual absl::Status OnControl(SpdyControl type, uint8_t flags,
                                 std::string_view payload) = 0;
  // A piece of a data frame; `fin` with the last piece of one that ends its
  // stream. A piece is empty only in an empty frame.
  virtual absl::Status OnDataPiece(uint32_t stream, std::string_view bytes,
                                   bool fin) = 0;
};

class SpdyReader {
 public:
  // InvalidArgument: another version, or too long a control frame; or what
  // `frames` returned. Nothing may follow an error.
  absl::Status Receive(std::string_view bytes, SpdyFrames& frames);

 private:
  absl::Status BeginFrame(SpdyFrames& frames);
  absl::Status PassData(std::string_view* bytes, SpdyFrames& frames);

  static constexpr size_t kHeadBytes = 8;

  // The frame's head, then, of a control frame, its payload.
  std::string held_;
  // How much `held_` must have to go on.
  size_t wanted_ = kHeadBytes;
  bool in_data_ = false;
  uint32_t stream_ = 0;
  bool fin_ = false;
  size_t data_left_ = 0;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_SPDY_READER_H_
