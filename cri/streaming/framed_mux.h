// What the muxes have in common, whatever their frames look like: who is told,
// whether the peer has said goodbye, what waits to be sent.
//
// Not thread-safe; one session owns it.

#ifndef PINION_CRI_STREAMING_FRAMED_MUX_H_
#define PINION_CRI_STREAMING_FRAMED_MUX_H_

#include <string>

#include "cri/streaming/stream_mux.h"

namespace pinion::cri::streaming {

class FramedMux : public StreamMux {
 public:
  absl::Status Receive(std::string_view bytes, PeerEvents& events) final {
    if (peer_closed_) return absl::OkStatus();
    events_ = &events;
    const absl::Status status = ReadFrames(bytes);
    events_ = nullptr;
    // Whatever follows a goodbye in the same bytes does not matter.
    if (peer_closed_) return absl::OkStatus();
    if (!status.ok()) SayBroken();
    return status;
  }

  bool PeerClosed() const override { return peer_closed_; }
  size_t PendingOutput() const override { return output_.size(); }
  void TakeOutput(std::string* out) override {
    out->append(output_);
    output_.clear();
  }

 protected:
  virtual absl::Status ReadFrames(std::string_view bytes) = 0;
  // The goodbye to a peer that broke the protocol.
  virtual void SayBroken() = 0;

  void MarkPeerClosed() { peer_closed_ = true; }
  // Within ReadFrames only.
  PeerEvents& events() { return *events_; }
  std::string* output() { return &output_; }

 private:
  PeerEvents* events_ = nullptr;
  bool peer_closed_ = false;
  std::string output_;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_FRAMED_MUX_H_
