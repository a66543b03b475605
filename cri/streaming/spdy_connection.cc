#include "cri/streaming/spdy_connection.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/streaming/big_endian.h"
#include "cri/streaming/framed_mux.h"

namespace pinion::cri::streaming {
namespace {

// SPDY draft 3, 2.6.3 and 2.6.6.
constexpr uint32_t kProtocolError = 1;
constexpr uint32_t kInvalidStream = 2;
constexpr uint32_t kRefusedStream = 3;
constexpr uint32_t kCancel = 5;
constexpr uint32_t kFlowControlError = 7;
constexpr uint32_t kStreamAlreadyClosed = 9;
constexpr uint32_t kSettingsInitialWindow = 7;

constexpr uint32_t kIdMask = 0x7fffffff;
constexpr int64_t kDefaultWindow = 65536;
constexpr int64_t kMaxWindow = 0x7fffffff;
// One data frame of ours.
constexpr size_t kMaxDataFrame = 32768;
// Consumed bytes are told in portions.
constexpr uint32_t kUpdatePortion = 32768;

class SpdyConnection final : public FramedMux, private SpdyFrames {
 public:
  void Send(StreamId id, std::string_view bytes) override;
  void Finish(StreamId id) override;
  void Reset(StreamId id) override;
  size_t SendWindow(StreamId id) const override;
  void Consumed(StreamId id, size_t bytes) override;
  // A client ignores an odd PING that it did not send (draft 3, 2.6.5); an
  // even one it would answer, which it may not be able to just now.
  void Probe() override {
    if (!gone_away_) Control(SpdyControl::kPing, {"\x7f\xff\xff\xff", 4});
  }
  void Close() override { GoAway(0); }

 private:
  struct Stream {
    bool peer_finished = false;
    bool finished = false;  // by us
    int64_t send_window = kDefaultWindow;
    uint32_t consumed = 0;  // not told yet
  };

  absl::Status ReadFrames(std::string_view bytes) override {
    return reader_.Receive(bytes, *this);
  }
  void SayBroken() override { GoAway(kProtocolError); }

  absl::Status OnControl(SpdyControl type, uint8_t flags,
                         std::string_view payload) override;
  absl::Status OnDataPiece(uint32_t id, std::string_view bytes,
                           bool fin) override;
  absl::Status OnSynStream(uint8_t flags, std::string_view payload);
  absl::Status OnRstStream(std::string_view payload);
  absl::Status OnSettings(std::string_view payload);
  absl::Status OnWindowUpdate(std::string_view payload);
  absl::Status OnHeaders(uint8_t flags, std::string_view payload);
  void OnPeerFin(uint32_t id);

  void Control(SpdyControl type, std::string_view payload);
  void ControlPair(SpdyControl type, uint32_t first, uint32_t second);
  void Data(uint32_t id, std::string_view bytes, uint8_t flags);
  void GoAway(uint32_t status);
  // Forgets a stream that both sides have finished.
  void DropIfDone(uint32_t id);
  Stream* Find(uint32_t id) {
    const auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : &found->second;
  }

  SpdyReader reader_;
  HeaderInflater inflater_;
  HeaderDeflater deflater_;
  std::map<uint32_t, Stream> streams_;
  uint32_t last_id_ = 0;
  // The last that data came for and that no stream has had yet.
  uint32_t unknown_id_ = 0;
  bool gone_away_ = false;
  bool peer_keeps_windows_ = false;
  int64_t initial_window_ = kDefaultWindow;
};

absl::Status Malformed(const char* frame) {
  return absl::InvalidArgumentError(absl::StrCat("SPDY: malformed ", frame));
}

absl::Status SpdyConnection::OnControl(SpdyControl type, uint8_t flags,
                                       std::string_view payload) {
  if (PeerClosed()) return absl::OkStatus();
  switch (type) {
    case SpdyControl::kSynStream:
      return OnSynStream(flags, payload);
    case SpdyControl::kSynReply:
      // We open no stream that could be answered.
      return Malformed("SYN_REPLY");
    case SpdyControl::kRstStream:
      return OnRstStream(payload);
    case SpdyControl::kSettings:
      return OnSettings(payload);
    case SpdyControl::kPing:
      if (payload.size() != 4) return Malformed("PING");
      // Odd ids are the client's; others would answer a ping of ours.
      if (ReadBigEndian32(payload, 0) % 2 == 1) Control(type, payload);
      return absl::OkStatus();
    case SpdyControl::kGoAway:
      if (payload.size() != 8) return Malformed("GOAWAY");
      MarkPeerClosed();
      return absl::OkStatus();
    case SpdyControl::kHeaders:
      return OnHeaders(flags, payload);
    case SpdyControl::kWindowUpdate:
      return OnWindowUpdate(payload);
  }
  // Unknown types are skipped (draft 3, 2.2.1).
  return absl::OkStatus();
}

absl::Status SpdyConnection::OnSynStream(uint8_t flags,
                                         std::string_view payload) {
  if (payload.size() < 10) return Malformed("SYN_STREAM");
  const uint32_t id = ReadBigEndian32(payload, 0) & kIdMask;
  // Read whatever becomes of the stream: the compression has a memory.
  PINION_ASSIGN_OR_RETURN(const StreamHeaders headers,
                          inflater_.Read(payload.substr(10)));
  if (id % 2 == 0 || id <= last_id_) return Malformed("stream id");
  last_id_ = id;
  if (gone_away_) return absl::OkStatus();
  if (streams_.size() >= kMaxSpdyStreams) {
    ControlPair(SpdyControl::kRstStream, id, kRefusedStream);
    return absl::OkStatus();
  }
  Stream& stream = streams_[id];
  stream.send_window = initial_window_;
  stream.finished = (flags & kSpdyUnidirectional) != 0;
  if (!events().OnOpen(id, headers)) {
    streams_.erase(id);
    ControlPair(SpdyControl::kRstStream, id, kRefusedStream);
    return absl::OkStatus();
  }
  std::string reply;
  AppendBigEndian32(id, &reply);
  reply += deflater_.Write({});
  Control(SpdyControl::kSynReply, reply);
  if ((flags & kSpdyFin) != 0) OnPeerFin(id);
  return absl::OkStatus();
}

absl::Status SpdyConnection::OnRstStream(std::string_view payload) {
  if (payload.size() != 8) return Malformed("RST_STREAM");
  const uint32_t id = ReadBigEndian32(payload, 0) & kIdMask;
  if (streams_.erase(id) > 0) events().OnReset(id);
  return absl::OkStatus();
}

absl::Status SpdyConnection::OnSettings(std::string_view payload) {
  if (payload.size() < 4 ||
      payload.size() - 4 != size_t{8} * ReadBigEndian32(payload, 0)) {
    return Malformed("SETTINGS");
  }
  for (size_t at = 4; at < payload.size(); at += 8) {
    const uint32_t setting = ReadBigEndian32(payload, at) & 0xffffff;
    const uint32_t value = ReadBigEndian32(payload, at + 4);
    if (setting != kSettingsInitialWindow) continue;
    if (value > kMaxWindow) return Malformed("SETTINGS");
    const int64_t change = int64_t{value} - initial_window_;
    initial_window_ = value;
    peer_keeps_windows_ = true;
    for (auto& [id, stream] : streams_) stream.send_window += change;
  }
  return absl::OkStatus();
}

absl::Status SpdyConnection::OnWindowUpdate(std::string_view payload) {
  if (payload.size() != 8) return Malformed("WINDOW_UPDATE");
  const uint32_t id = ReadBigEndian32(payload, 0) & kIdMask;
  const uint32_t more = ReadBigEndian32(payload, 4) & kIdMask;
  peer_keeps_windows_ = true;
  Stream* stream = Find(id);
  if (stream == nullptr) return absl::OkStatus();
  stream->send_window += more;
  if (stream->send_window > kMaxWindow) {
    streams_.erase(id);
    ControlPair(SpdyControl::kRstStream, id, kFlowControlError);
    events().OnReset(id);
  }
  return absl::OkStatus();
}

absl::Status SpdyConnection::OnHeaders(uint8_t flags,
                                       std::string_view payload) {
  if (payload.size() < 4) return Malformed("HEADERS");
  PINION_RETURN_IF_ERROR(inflater_.Read(payload.substr(4)).status());
  if ((flags & kSpdyFin) != 0) OnPeerFin(ReadBigEndian32(payload, 0) & kIdMask);
  return absl::OkStatus();
}

absl::Status SpdyConnection::OnDataPiece(uint32_t id, std::string_view bytes,
                                         bool fin) {
  if (PeerClosed()) return absl::OkStatus();
  Stream* stream = Find(id);
  if (stream == nullptr) {
    // One that was reset or finished a moment ago; an id from the future is
    // an error of that stream alone, told once and not for every piece.
    if (id > last_id_ && id != unknown_id_) {
      unknown_id_ = id;
      ControlPair(SpdyControl::kRstStream, id, kInvalidStream);
    }
    return absl::OkStatus();
  }
  if (stream->peer_finished) {
    streams_.erase(id);
    ControlPair(SpdyControl::kRstStream, id, kStreamAlreadyClosed);
    events().OnReset(id);
    return absl::OkStatus();
  }
  if (!bytes.empty()) events().OnData(id, bytes);
  if (fin) OnPeerFin(id);
  return absl::OkStatus();
}

void SpdyConnection::OnPeerFin(uint32_t id) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->peer_finished) return;
  stream->peer_finished = true;
  events().OnFinish(id);
  DropIfDone(id);
}

void SpdyConnection::Send(StreamId id, std::string_view bytes) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->finished || gone_away_) return;
  stream->send_window -= static_cast<int64_t>(bytes.size());
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kMaxDataFrame);
    Data(id, piece, 0);
    bytes.remove_prefix(piece.size());
  }
}

void SpdyConnection::Finish(StreamId id) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->finished || gone_away_) return;
  stream->finished = true;
  Data(id, {}, kSpdyFin);
  DropIfDone(id);
}

void SpdyConnection::Reset(StreamId id) {
  if (streams_.erase(id) == 0 || gone_away_) return;
  ControlPair(SpdyControl::kRstStream, id, kCancel);
}

size_t SpdyConnection::SendWindow(StreamId id) const {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return 0;
  if (!peer_keeps_windows_) return std::numeric_limits<size_t>::max();
  return static_cast<size_t>(std::max<int64_t>(0, found->second.send_window));
}

void SpdyConnection::Consumed(StreamId id, size_t bytes) {
  Stream* stream = Find(id);
  if (stream == nullptr || gone_away_) return;
  stream->consumed += static_cast<uint32_t>(bytes);
  if (stream->consumed < kUpdatePortion) return;
  ControlPair(SpdyControl::kWindowUpdate, id, stream->consumed);
  stream->consumed = 0;
}

void SpdyConnection::Control(SpdyControl type, std::string_view payload) {
  AppendBigEndian(0x8000 | kSpdyVersion, 2, output());
  AppendBigEndian(static_cast<uint16_t>(type), 2, output());
  AppendBigEndian32(static_cast<uint32_t>(payload.size()), output());
  *output() += payload;
}

void SpdyConnection::ControlPair(SpdyControl type, uint32_t first,
                                 uint32_t second) {
  std::string payload;
  AppendBigEndian32(first, &payload);
  AppendBigEndian32(second, &payload);
  Control(type, payload);
}

void SpdyConnection::Data(uint32_t id, std::string_view bytes, uint8_t flags) {
  AppendBigEndian32(id, output());
  AppendBigEndian32(
      static_cast<uint32_t>(flags) << 24 | static_cast<uint32_t>(bytes.size()),
      output());
  *output() += bytes;
}

void SpdyConnection::GoAway(uint32_t status) {
  if (gone_away_) return;
  gone_away_ = true;
  ControlPair(SpdyControl::kGoAway, last_id_, status);
}

void SpdyConnection::DropIfDone(uint32_t id) {
  const Stream* stream = Find(id);
  if (stream != nullptr && stream->finished && stream->peer_finished) {
    streams_.erase(id);
  }
}

}  // namespace

std::unique_ptr<StreamMux> NewSpdyConnection() {
  return std::make_unique<SpdyConnection>();
}

}  // namespace pinion::cri::streaming
