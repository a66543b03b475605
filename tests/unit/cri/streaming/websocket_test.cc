// WebSocket: frames, channels, and SPDY within.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cri/streaming/big_endian.h"
#include "cri/streaming/spdy_connection.h"
#include "cri/streaming/websocket_mux.h"
#include "cri/streaming/websocket_reader.h"
#include "tests/unit/cri/streaming/peer_log.h"
#include "tests/unit/cri/streaming/spdy_peer.h"
#include "tests/unit/cri/streaming/websocket_peer.h"

namespace pinion::cri::streaming {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

std::string Out(StreamMux& mux) {
  std::string out;
  mux.TakeOutput(&out);
  return out;
}

TEST(WebSocketChannelsTest, CarriesChannelsBothWays) {
  auto mux = NewWebSocketChannels(true);
  PeerLog log;
  ASSERT_TRUE(
      mux->Receive(ClientFrame(2, std::string("\0hello", 6)), log).ok());
  EXPECT_EQ(log.data[0], "hello");
  mux->Send(1, "out");
  EXPECT_EQ(Out(*mux), std::string("\x82\4\1out", 6));
  mux->Send(1, "");
  EXPECT_EQ(Out(*mux), std::string("\x82\1\1", 3));
  mux->Send(1, std::string(300, 'x'));
  EXPECT_EQ(Out(*mux),
            std::string("\x82\x7e\1\x2d\1", 5) + std::string(300, 'x'));
}

TEST(WebSocketChannelsTest, TakesBytesAndFragmentsInAnyPieces) {
  auto mux = NewWebSocketChannels(true);
  PeerLog log;
  std::string bytes = ClientFrame(2, std::string("\0", 1), /*fin=*/false);
  bytes += ClientFrame(9, "ping");
  bytes += ClientFrame(0, "abc", /*fin=*/false);
  bytes += ClientFrame(0, "def");
  bytes += ClientFrame(2, std::string("\4", 1) + std::string(70000, 'y'));
  for (const char c : bytes) {
    ASSERT_TRUE(mux->Receive(std::string_view(&c, 1), log).ok());
  }
  EXPECT_EQ(log.data[0], "abcdef");
  EXPECT_EQ(log.data[4], std::string(70000, 'y'));
  EXPECT_EQ(Out(*mux), "\x8a\4ping");
}

// Some clients send strings as text; an empty message says nothing.
TEST(WebSocketChannelsTest, TextIsTakenLikeBytes) {
  auto mux = NewWebSocketChannels(true);
  PeerLog log;
  const std::string text = ClientFrame(1, std::string("\0ls", 3));
  ASSERT_TRUE(mux->Receive(text + ClientFrame(2, ""), log).ok());
  EXPECT_EQ(log.data[0], "ls");
  EXPECT_FALSE(mux->PeerClosed());
}

TEST(WebSocketChannelsTest, CloseSignalHalfCloses) {
  PeerLog log;
  auto mux = NewWebSocketChannels(true);
  ASSERT_TRUE(mux->Receive(ClientFrame(2, std::string("\xff\0", 2)), log).ok());
  EXPECT_THAT(log.finished, ElementsAre(0));
  // Before v5 255 is a channel like any other.
  PeerLog old;
  mux = NewWebSocketChannels(false);
  ASSERT_TRUE(mux->Receive(ClientFrame(2, std::string("\xff\0", 2)), old).ok());
  EXPECT_TRUE(old.finished.empty());
}

TEST(WebSocketChannelsTest, GoodbyeIsAnswered) {
  auto mux = NewWebSocketChannels(true);
  PeerLog log;
  ASSERT_TRUE(mux->Receive(ClientFrame(8, "\x03\xe8"), log).ok());
  EXPECT_TRUE(mux->PeerClosed());
  EXPECT_EQ(Out(*mux), "\x88\2\x03\xe8");
  mux->Send(1, "too late");
  mux->Close();
  EXPECT_EQ(mux->PendingOutput(), 0u);
}

TEST(WebSocketChannelsTest, RefusesWhatTheProtocolForbids) {
  std::string unmasked("\x82\2\0x", 4);
  std::string reserved = ClientFrame(2, "x");
  reserved[0] = static_cast<char>(reserved[0] | 0x40);
  std::string huge("\x82\xff\x40\0\0\0\0\0\0\0mask", 14);
  for (const std::string& bytes :
       {unmasked, reserved, huge, ClientFrame(3, "x"),
        ClientFrame(0, "of nothing"),
        ClientFrame(2, "a", false) + ClientFrame(2, "b"),
        ClientFrame(9, "x", false), ClientFrame(9, std::string(126, 'x'))}) {
    auto mux = NewWebSocketChannels(true);
    PeerLog log;
    EXPECT_FALSE(mux->Receive(bytes, log).ok());
    EXPECT_EQ(Out(*mux), "\x88\2\x03\xea");
  }
}

TEST(WebSocketTunnelTest, CarriesSpdyWhateverTheMessages) {
  auto mux = NewWebSocketTunnel(NewSpdyConnection());
  SpdyPeer peer;
  PeerLog log;
  const std::string spdy =
      peer.SynStream(1, {{"streamtype", "data"}}) + SpdyPeer::Data(1, "hello");
  ASSERT_TRUE(mux->Receive(ClientFrame(2, spdy.substr(0, 11)), log).ok());
  ASSERT_TRUE(mux->Receive(ClientFrame(2, spdy.substr(11)), log).ok());
  EXPECT_EQ(log.data[1], "hello");
  mux->Send(1, "answer");
  mux->Close();
  EXPECT_GT(mux->PendingOutput(), 0u);
  std::string content;
  std::vector<int> opcodes;
  ReadServerFrames(Out(*mux), &content, &opcodes);
  EXPECT_THAT(opcodes, ElementsAre(2, 8));
  ASSERT_TRUE(peer.Read(content).ok());
  EXPECT_EQ(peer.Replies(), 1u);
  EXPECT_EQ(peer.data[1], "answer");
  EXPECT_EQ(peer.Count(SpdyControl::kGoAway), 1u);
}

}  // namespace
}  // namespace pinion::cri::streaming
