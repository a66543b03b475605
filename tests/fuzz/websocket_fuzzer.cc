// What any client may send after an upgrade to WebSocket, as channels and as
// a tunnel: whole or byte by byte it means the same.

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "cri/streaming/spdy_connection.h"
#include "cri/streaming/websocket_mux.h"

namespace {

using pinion::cri::streaming::StreamHeaders;
using pinion::cri::streaming::StreamId;
using pinion::cri::streaming::StreamMux;

class Keep : public pinion::cri::streaming::PeerEvents {
 public:
  bool OnOpen(StreamId, const StreamHeaders&) override { return true; }
  void OnData(StreamId id, std::string_view bytes) override {
    data[id] += bytes;
  }
  void OnFinish(StreamId id) override { data[id] += "<end>"; }
  void OnReset(StreamId id) override { data[id] += "<reset>"; }

  std::map<StreamId, std::string> data;
};

void Check(StreamMux& whole, StreamMux& pieces, std::string_view bytes) {
  Keep first;
  Keep second;
  const bool ok = whole.Receive(bytes, first).ok();
  bool pieces_ok = true;
  for (size_t i = 0; i < bytes.size() && pieces_ok; ++i) {
    pieces_ok = pieces.Receive(bytes.substr(i, 1), second).ok();
  }
  if (ok != pieces_ok || first.data != second.data ||
      whole.PeerClosed() != pieces.PeerClosed()) {
    std::abort();
  }
  std::string out;
  whole.TakeOutput(&out);
  std::string pieces_out;
  pieces.TakeOutput(&pieces_out);
  if (whole.PendingOutput() != 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pinion::cri::streaming::NewSpdyConnection;
  using pinion::cri::streaming::NewWebSocketChannels;
  using pinion::cri::streaming::NewWebSocketTunnel;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Check(*NewWebSocketChannels(true), *NewWebSocketChannels(true), bytes);
  Check(*NewWebSocketTunnel(NewSpdyConnection()),
        *NewWebSocketTunnel(NewSpdyConnection()), bytes);
  return 0;
}
