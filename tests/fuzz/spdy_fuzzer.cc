// What any client may send after an upgrade to SPDY/3.1, whole and byte by
// byte: the same events and answers either way, no more streams than allowed.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "cri/streaming/spdy_connection.h"
#include "cri/streaming/spdy_headers.h"

namespace {

using pinion::cri::streaming::StreamHeaders;
using pinion::cri::streaming::StreamId;
using pinion::cri::streaming::StreamMux;

class Echo : public pinion::cri::streaming::PeerEvents {
 public:
  explicit Echo(StreamMux* mux) : mux_(*mux) {}

  bool OnOpen(StreamId, const StreamHeaders&) override {
    if (++opened > 100000) std::abort();
    return opened % 5 != 0;
  }
  void OnData(StreamId id, std::string_view bytes) override {
    received += bytes.size();
    mux_.Consumed(id, bytes.size());
    if (mux_.SendWindow(id) >= bytes.size()) mux_.Send(id, bytes);
  }
  void OnFinish(StreamId id) override { mux_.Finish(id); }
  void OnReset(StreamId id) override {
    if (mux_.SendWindow(id) != 0) std::abort();
  }

  size_t opened = 0;
  size_t received = 0;

 private:
  StreamMux& mux_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = pinion::cri::streaming::NewSpdyConnection();
  const auto pieces = pinion::cri::streaming::NewSpdyConnection();
  Echo first(whole.get());
  Echo second(pieces.get());
  const bool ok = whole->Receive(bytes, first).ok();
  bool pieces_ok = true;
  for (size_t i = 0; i < size && pieces_ok; ++i) {
    pieces_ok = pieces->Receive(bytes.substr(i, 1), second).ok();
  }
  if (ok != pieces_ok || first.opened != second.opened ||
      first.received != second.received ||
      whole->PeerClosed() != pieces->PeerClosed()) {
    std::abort();
  }
  (void)pinion::cri::streaming::ParseHeaderBlock(bytes);
  return 0;
}
