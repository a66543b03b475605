// What any client may send after an upgrade to SPDY/3.1, whole and byte by
// byte: the same events and answers either way, no more streams than allowed.

#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "cri/streaming/spdy_connection.h"
#include "cri/streaming/spdy_headers.h"

namespace {

using pinion::cri::streaming::kMaxSpdyStreams;
using pinion::cri::streaming::StreamHeaders;
using pinion::cri::streaming::StreamId;
using pinion::cri::streaming::StreamMux;

class Echo : public pinion::cri::streaming::PeerEvents {
 public:
  explicit Echo(StreamMux* mux) : mux_(*mux) {}

  bool OnOpen(StreamId id, const StreamHeaders&) override {
    const bool taken = ++opened_ % 5 != 0;
    log += "open " + std::to_string(id) + "\n";
    if (taken && !open_.insert(id).second) std::abort();
    if (open_.size() > kMaxSpdyStreams) std::abort();
    return taken;
  }
  void OnData(StreamId id, std::string_view bytes) override {
    if (open_.count(id) == 0) std::abort();
    // However many pieces the bytes of a frame come in.
    received[id] += bytes;
    mux_.Consumed(id, bytes.size());
  }
  void OnFinish(StreamId id) override {
    log += "finish " + std::to_string(id) + "\n";
    if (open_.erase(id) == 0) std::abort();
    if (mux_.SendWindow(id) > 0) mux_.Send(id, received[id].substr(0, 100));
    mux_.Finish(id);
  }
  void OnReset(StreamId id) override {
    log += "reset " + std::to_string(id) + "\n";
    open_.erase(id);
    if (mux_.SendWindow(id) != 0) std::abort();
  }

  std::string log;
  std::map<StreamId, std::string> received;

 private:
  StreamMux& mux_;
  size_t opened_ = 0;
  std::set<StreamId> open_;
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
  std::string answers;
  std::string piecewise;
  whole->TakeOutput(&answers);
  pieces->TakeOutput(&piecewise);
  if (ok != pieces_ok || first.log != second.log ||
      first.received != second.received || answers != piecewise ||
      whole->PeerClosed() != pieces->PeerClosed()) {
    std::abort();
  }
  (void)pinion::cri::streaming::ParseHeaderBlock(bytes);
  return 0;
}
