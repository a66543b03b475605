// The client's side of SPDY, as much as the tests need: frames out, frames in.

#ifndef PINION_TESTS_UNIT_CRI_STREAMING_SPDY_PEER_H_
#define PINION_TESTS_UNIT_CRI_STREAMING_SPDY_PEER_H_

#include <map>
#include <string>
#include <vector>

#include "cri/streaming/big_endian.h"
#include "cri/streaming/spdy_headers.h"
#include "cri/streaming/spdy_reader.h"

namespace pinion::cri::streaming {

class SpdyPeer : public SpdyFrames {
 public:
  std::string SynStream(uint32_t id, const StreamHeaders& headers,
                        uint8_t flags = 0) {
    std::string payload;
    AppendBigEndian32(id, &payload);
    AppendBigEndian32(0, &payload);
    payload += std::string(2, '\0');
    payload += deflater_.Write(headers);
    return Control(SpdyControl::kSynStream, payload, flags);
  }

  static std::string Control(SpdyControl type, const std::string& payload,
                             uint8_t flags = 0) {
    std::string frame;
    AppendBigEndian(0x8003, 2, &frame);
    AppendBigEndian(static_cast<uint16_t>(type), 2, &frame);
    AppendBigEndian(flags, 1, &frame);
    AppendBigEndian(payload.size(), 3, &frame);
    return frame + payload;
  }

  static std::string Pair(SpdyControl type, uint32_t first, uint32_t second) {
    std::string payload;
    AppendBigEndian32(first, &payload);
    AppendBigEndian32(second, &payload);
    return Control(type, payload);
  }

  static std::string Data(uint32_t id, const std::string& bytes,
                          bool fin = false) {
    std::string frame;
    AppendBigEndian32(id, &frame);
    AppendBigEndian(fin ? 1 : 0, 1, &frame);
    AppendBigEndian(bytes.size(), 3, &frame);
    return frame + bytes;
  }

  // Reads what the server sent.
  absl::Status Read(std::string_view bytes) {
    return reader_.Receive(bytes, *this);
  }

  struct ControlFrame {
    SpdyControl type;
    std::string payload;
  };
  std::vector<ControlFrame> controls;
  std::map<uint32_t, std::string> data;
  std::map<uint32_t, bool> finished;

  // Streams that the server answered with SYN_REPLY.
  size_t Replies() const { return Count(SpdyControl::kSynReply); }
  size_t Count(SpdyControl type) const {
    size_t count = 0;
    for (const ControlFrame& frame : controls) count += frame.type == type;
    return count;
  }

 private:
  absl::Status OnControl(SpdyControl type, uint8_t,
                         std::string_view payload) override {
    controls.push_back({type, std::string(payload)});
    return absl::OkStatus();
  }
  absl::Status OnDataPiece(uint32_t id, std::string_view bytes,
                           bool fin) override {
    data[id] += bytes;
    if (fin) finished[id] = true;
    return absl::OkStatus();
  }

  HeaderDeflater deflater_;
  SpdyReader reader_;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_TESTS_UNIT_CRI_STREAMING_SPDY_PEER_H_
