// The server's side of a SPDY/3.1 connection whose streams the client opens,
// as client-go (moby/spdystream) speaks it.
//
// Flow control: moby/spdystream neither sends WINDOW_UPDATE nor minds it, so a
// peer's window counts only once it has shown (by WINDOW_UPDATE or SETTINGS)
// that it keeps one. Ours is always told to the peer.

#ifndef PINION_CRI_STREAMING_SPDY_CONNECTION_H_
#define PINION_CRI_STREAMING_SPDY_CONNECTION_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "cri/streaming/spdy_headers.h"
#include "cri/streaming/spdy_reader.h"
#include "cri/streaming/stream_mux.h"

namespace pinion::cri::streaming {

// Open at a time; one more is refused (RST_STREAM).
inline constexpr size_t kMaxSpdyStreams = 512;

std::unique_ptr<StreamMux> NewSpdyConnection();

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_SPDY_CONNECTION_H_
