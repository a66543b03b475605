// The two ways in which streams travel in a WebSocket.

#ifndef PINION_CRI_STREAMING_WEBSOCKET_MUX_H_
#define PINION_CRI_STREAMING_WEBSOCKET_MUX_H_

#include <memory>

#include "cri/streaming/stream_mux.h"

namespace pinion::cri::streaming {

// Every binary message begins with a byte that names the channel; the mux's
// stream ids are these numbers, and all channels are open from the start
// (OnOpen is never called). With `close_signal` (v5) a message {255, N} says
// that the client sends no more on channel N. The server cannot finish a
// single channel: Finish only stops our own sending; the end of the
// connection ends them all.
std::unique_ptr<StreamMux> NewWebSocketChannels(bool close_signal);

// `inner`'s bytes as the content of binary messages, whose borders mean
// nothing: "SPDY/3.1+portforward.k8s.io".
std::unique_ptr<StreamMux> NewWebSocketTunnel(std::unique_ptr<StreamMux> inner);

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_WEBSOCKET_MUX_H_
