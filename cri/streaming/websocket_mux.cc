#include "cri/streaming/websocket_mux.h"

#include <limits>
#include <set>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "cri/streaming/big_endian.h"
#include "cri/streaming/framed_mux.h"
#include "cri/streaming/websocket_reader.h"

namespace pinion::cri::streaming {
namespace {

// RFC 6455, 7.4.1.
constexpr uint16_t kNormalClosure = 1000;
constexpr uint16_t kProtocolError = 1002;
// client-go reads each message into a buffer of this size.
constexpr size_t kMaxMessage = 32768;

// What both ways share: control frames and the goodbye.
class WebSocket : public FramedMux, protected WebSocketEvents {
 public:
  // A PONG that answers nothing (RFC 6455, 5.5.3).
  void Probe() override {
    if (!closed_) AppendWebSocketFrame(WebSocketOpcode::kPong, {}, output());
  }
  void Close() override { SendClose(kNormalClosure); }

 protected:
  absl::Status ReadFrames(std::string_view bytes) override {
    return reader_.Receive(bytes, *this);
  }
  void SayBroken() override { SendClose(kProtocolError); }

  absl::Status OnControl(WebSocketOpcode opcode,
                         std::string_view payload) override {
    if (WebSocket::PeerClosed()) return absl::OkStatus();
    if (opcode == WebSocketOpcode::kPing) {
      if (!closed_) {
        AppendWebSocketFrame(WebSocketOpcode::kPong, payload, output());
      }
    } else if (opcode == WebSocketOpcode::kClose) {
      SendClose(kNormalClosure);
      MarkPeerClosed();
    }
    return absl::OkStatus();
  }

  void SendMessage(std::string_view payload) {
    if (!closed_) {
      AppendWebSocketFrame(WebSocketOpcode::kBinary, payload, output());
    }
  }

 private:
  void SendClose(uint16_t code) {
    if (closed_) return;
    closed_ = true;
    std::string payload;
    AppendBigEndian(code, 2, &payload);
    AppendWebSocketFrame(WebSocketOpcode::kClose, payload, output());
  }

  WebSocketReader reader_;
  bool closed_ = false;
};

class WebSocketChannels final : public WebSocket {
 public:
  explicit WebSocketChannels(bool close_signal) : close_signal_(close_signal) {}

  void Send(StreamId id, std::string_view bytes) override {
    if (finished_.count(id) > 0) return;
    // An empty message is one, too: it tells the client that we are there.
    do {
      std::string message(1, static_cast<char>(id));
      message += bytes.substr(0, kMaxMessage);
      SendMessage(message);
      bytes.remove_prefix(message.size() - 1);
    } while (!bytes.empty());
  }
  void Finish(StreamId id) override { finished_.insert(id); }
  void Reset(StreamId id) override { finished_.insert(id); }
  size_t SendWindow(StreamId) const override {
    return std::numeric_limits<size_t>::max();
  }
  void Consumed(StreamId, size_t) override {}

 private:
  static constexpr uint8_t kCloseSignal = 255;

  // Text is as good as binary (some clients send strings so): what is in it,
  // the subprotocol says. An empty message says nothing.
  absl::Status OnMessage(WebSocketOpcode, std::string_view piece, bool first,
                         bool) override {
    if (PeerClosed()) return absl::OkStatus();
    if (first) channel_known_ = false;
    if (!channel_known_ && !piece.empty()) {
      channel_ = static_cast<uint8_t>(piece.front());
      channel_known_ = true;
      piece.remove_prefix(1);
    }
    if (!channel_known_) return absl::OkStatus();
    if (close_signal_ && channel_ == kCloseSignal) {
      for (const char c : piece) {
        events().OnFinish(static_cast<uint8_t>(c));
      }
      return absl::OkStatus();
    }
    if (!piece.empty()) events().OnData(channel_, piece);
    return absl::OkStatus();
  }

  const bool close_signal_;
  std::set<StreamId> finished_;
  uint8_t channel_ = 0;
  bool channel_known_ = false;
};

class WebSocketTunnel final : public WebSocket {
 public:
  explicit WebSocketTunnel(std::unique_ptr<StreamMux> inner)
      : inner_(std::move(inner)) {}

  bool PeerClosed() const override {
    return WebSocket::PeerClosed() || inner_->PeerClosed();
  }
  void Send(StreamId id, std::string_view bytes) override {
    inner_->Send(id, bytes);
  }
  void Finish(StreamId id) override { inner_->Finish(id); }
  void Reset(StreamId id) override { inner_->Reset(id); }
  size_t SendWindow(StreamId id) const override {
    return inner_->SendWindow(id);
  }
  void Consumed(StreamId id, size_t bytes) override {
    inner_->Consumed(id, bytes);
  }
  void Close() override {
    inner_->Close();
    Wrap();
    WebSocket::Close();
  }
  size_t PendingOutput() const override {
    return WebSocket::PendingOutput() + inner_->PendingOutput();
  }
  void TakeOutput(std::string* out) override {
    Wrap();
    WebSocket::TakeOutput(out);
  }

 private:
  absl::Status OnMessage(WebSocketOpcode opcode, std::string_view piece, bool,
                         bool) override {
    if (PeerClosed()) return absl::OkStatus();
    if (opcode != WebSocketOpcode::kBinary) {
      return absl::InvalidArgumentError("WebSocket: a message of text");
    }
    return inner_->Receive(piece, events());
  }

  // What the inner connection wants to say, in messages.
  void Wrap() {
    std::string bytes;
    inner_->TakeOutput(&bytes);
    for (std::string_view rest = bytes; !rest.empty();) {
      const std::string_view piece = rest.substr(0, kMaxMessage);
      SendMessage(piece);
      rest.remove_prefix(piece.size());
    }
  }

  const std::unique_ptr<StreamMux> inner_;
};

}  // namespace

std::unique_ptr<StreamMux> NewWebSocketChannels(bool close_signal) {
  return std::make_unique<WebSocketChannels>(close_signal);
}

std::unique_ptr<StreamMux> NewWebSocketTunnel(
    std::unique_ptr<StreamMux> inner) {
  return std::make_unique<WebSocketTunnel>(std::move(inner));
}

}  // namespace pinion::cri::streaming
