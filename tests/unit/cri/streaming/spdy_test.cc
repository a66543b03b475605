// SPDY: the reader, the headers, a connection, against frames made here.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "cri/streaming/spdy_connection.h"
#include "tests/unit/cri/streaming/peer_log.h"
#include "tests/unit/cri/streaming/spdy_peer.h"

namespace pinion::cri::streaming {
namespace {

using ::testing::ElementsAre;

TEST(SpdyDictionaryTest, IsTheOneOfTheProtocol) {
  const std::string& dictionary = SpdyDictionary();
  EXPECT_EQ(dictionary.size(), 1423u);
  // What every SPDY/3 header block of a client begins with after 78 bb.
  EXPECT_EQ(adler32(1, reinterpret_cast<const Bytef*>(dictionary.data()),
                    static_cast<uInt>(dictionary.size())),
            0xe3c6a7c2u);
}

TEST(SpdyHeadersTest, ComeBackAsTheyWentIn) {
  HeaderDeflater deflater;
  HeaderInflater inflater;
  const StreamHeaders first = {{"streamtype", "error"}, {"port", "80"}};
  const StreamHeaders second = {{"streamtype", "data"}, {"port", "80"}};
  for (const StreamHeaders& headers : {first, second, first, StreamHeaders()}) {
    const auto read = inflater.Read(deflater.Write(headers));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, headers);
  }
}

TEST(SpdyHeadersTest, RefusesABombAndNonsense) {
  HeaderDeflater deflater;
  HeaderInflater inflater;
  const std::string bomb =
      deflater.Write({{"a", std::string(kMaxHeaderBlock, 'x')}});
  EXPECT_LT(bomb.size(), 1000u);
  EXPECT_FALSE(inflater.Read(bomb).ok());
  EXPECT_FALSE(HeaderInflater().Read("nonsense").ok());
}

TEST(SpdyHeadersTest, BlocksAreExact) {
  const std::string one("\0\0\0\1\0\0\0\1a\0\0\0\1b", 14);
  ASSERT_TRUE(ParseHeaderBlock(one).ok());
  EXPECT_FALSE(ParseHeaderBlock(one + "x").ok());
  for (size_t length = 0; length < one.size(); ++length) {
    EXPECT_FALSE(ParseHeaderBlock(one.substr(0, length)).ok()) << length;
  }
  std::string upper = one;
  upper[8] = 'A';
  EXPECT_FALSE(ParseHeaderBlock(upper).ok());
  const std::string huge("\xff\xff\xff\xff", 4);
  EXPECT_FALSE(ParseHeaderBlock(huge).ok());
  const std::string twice("\0\0\0\2\0\0\0\1a\0\0\0\1b\0\0\0\1a\0\0\0\1c", 24);
  EXPECT_FALSE(ParseHeaderBlock(twice).ok());
}

class SpdyConnectionTest : public testing::Test {
 protected:
  absl::Status Receive(std::string_view bytes) {
    const absl::Status status = mux_->Receive(bytes, log_);
    std::string out;
    mux_->TakeOutput(&out);
    EXPECT_TRUE(peer_.Read(out).ok());
    return status;
  }
  void Flush() { EXPECT_TRUE(Receive({}).ok()); }

  SpdyPeer peer_;
  PeerLog log_;
  std::unique_ptr<StreamMux> mux_ = NewSpdyConnection();
};

TEST_F(SpdyConnectionTest, OpensCarriesAndFinishesAStream) {
  ASSERT_TRUE(Receive(peer_.SynStream(1, {{"streamtype", "stdin"}})).ok());
  EXPECT_EQ(peer_.Replies(), 1u);
  EXPECT_EQ(log_.opened[1].at("streamtype"), "stdin");
  ASSERT_TRUE(Receive(SpdyPeer::Data(1, "hello")).ok());
  ASSERT_TRUE(Receive(SpdyPeer::Data(1, " you", true)).ok());
  EXPECT_EQ(log_.data[1], "hello you");
  EXPECT_THAT(log_.finished, ElementsAre(1));
  mux_->Send(1, "answer");
  mux_->Finish(1);
  mux_->Send(1, "too late");
  Flush();
  EXPECT_EQ(peer_.data[1], "answer");
  EXPECT_TRUE(peer_.finished[1]);
}

TEST_F(SpdyConnectionTest, TakesBytesInAnyPieces) {
  const std::string bytes =
      peer_.SynStream(1, {{"streamtype", "stdin"}}) + SpdyPeer::Data(1, "abc") +
      SpdyPeer::Control(SpdyControl::kPing, std::string("\0\0\0\1", 4)) +
      SpdyPeer::Data(1, "def", true);
  for (const char c : bytes) {
    ASSERT_TRUE(Receive(std::string_view(&c, 1)).ok());
  }
  EXPECT_EQ(log_.data[1], "abcdef");
  EXPECT_THAT(log_.finished, ElementsAre(1));
  EXPECT_EQ(peer_.Count(SpdyControl::kPing), 1u);
}

TEST_F(SpdyConnectionTest, RefusesWhatTheSessionDoesNotWant) {
  log_.accept = false;
  ASSERT_TRUE(Receive(peer_.SynStream(1, {})).ok());
  EXPECT_EQ(peer_.Replies(), 0u);
  EXPECT_EQ(peer_.Count(SpdyControl::kRstStream), 1u);
  // Data of it that was under way is nobody's fault.
  EXPECT_TRUE(Receive(SpdyPeer::Data(1, "x")).ok());
}

TEST_F(SpdyConnectionTest, BoundsTheNumberOfStreams) {
  for (uint32_t i = 0; i <= kMaxSpdyStreams; ++i) {
    ASSERT_TRUE(Receive(peer_.SynStream(2 * i + 1, {})).ok());
  }
  EXPECT_EQ(peer_.Replies(), kMaxSpdyStreams);
  EXPECT_EQ(peer_.Count(SpdyControl::kRstStream), 1u);
  // One that ends makes room.
  ASSERT_TRUE(Receive(SpdyPeer::Pair(SpdyControl::kRstStream, 1, 5)).ok());
  EXPECT_THAT(log_.reset, ElementsAre(1));
  ASSERT_TRUE(Receive(peer_.SynStream(4001, {})).ok());
  EXPECT_EQ(peer_.Replies(), kMaxSpdyStreams + 1);
}

TEST_F(SpdyConnectionTest, KeepsWindowsOnlyWithAPeerThatDoes) {
  ASSERT_TRUE(Receive(peer_.SynStream(1, {})).ok());
  EXPECT_GT(mux_->SendWindow(1), size_t{1} << 30);
  mux_->Send(1, std::string(1000, 'x'));
  ASSERT_TRUE(Receive(SpdyPeer::Pair(SpdyControl::kWindowUpdate, 1, 10)).ok());
  EXPECT_EQ(mux_->SendWindow(1), 65536u - 1000 + 10);
  // A smaller initial window holds for streams that are open, too.
  const std::string settings("\0\0\0\1\0\0\0\7\0\0\0\0", 12);
  ASSERT_TRUE(
      Receive(SpdyPeer::Control(SpdyControl::kSettings, settings)).ok());
  EXPECT_EQ(mux_->SendWindow(1), 0u);
  EXPECT_EQ(mux_->SendWindow(3), 0u);
}

TEST_F(SpdyConnectionTest, TellsWhatWasConsumed) {
  ASSERT_TRUE(Receive(peer_.SynStream(1, {})).ok());
  mux_->Consumed(1, 30000);
  Flush();
  EXPECT_EQ(peer_.Count(SpdyControl::kWindowUpdate), 0u);
  mux_->Consumed(1, 10000);
  Flush();
  ASSERT_EQ(peer_.Count(SpdyControl::kWindowUpdate), 1u);
  EXPECT_EQ(ReadBigEndian32(peer_.controls.back().payload, 4), 40000u);
}

TEST_F(SpdyConnectionTest, AWindowThatOverflowsEndsItsStreamOnly) {
  ASSERT_TRUE(Receive(peer_.SynStream(1, {})).ok());
  ASSERT_TRUE(
      Receive(SpdyPeer::Pair(SpdyControl::kWindowUpdate, 1, 0x7fffffff)).ok());
  EXPECT_THAT(log_.reset, ElementsAre(1));
  EXPECT_EQ(peer_.Count(SpdyControl::kRstStream), 1u);
}

TEST_F(SpdyConnectionTest, GoAwayEndsIt) {
  EXPECT_FALSE(mux_->PeerClosed());
  ASSERT_TRUE(Receive(SpdyPeer::Pair(SpdyControl::kGoAway, 0, 0)).ok());
  EXPECT_TRUE(mux_->PeerClosed());
}

TEST_F(SpdyConnectionTest, ErrorsOfTheProtocolEndIt) {
  const std::string syn = peer_.SynStream(2, {});
  EXPECT_FALSE(Receive(syn).ok()) << "an even id";
  EXPECT_EQ(peer_.Count(SpdyControl::kGoAway), 1u);
  for (const std::string& bytes : {
           std::string("\x80\x02\0\6\0\0\0\4\0\0\0\1", 12),  // version 2
           std::string("\x80\x03\0\1\0\xff\xff\xff", 8),     // too long
           SpdyPeer::Control(SpdyControl::kPing, "x"),
           SpdyPeer::Control(SpdyControl::kSynReply, std::string(8, '\0')),
           SpdyPeer::Control(SpdyControl::kSynStream, std::string(20, 'x')),
           SpdyPeer::Control(SpdyControl::kSettings, "\xff\xff\xff\xff"),
       }) {
    PeerLog log;
    EXPECT_FALSE(NewSpdyConnection()->Receive(bytes, log).ok());
  }
}

TEST_F(SpdyConnectionTest, UnknownControlFramesAreSkipped) {
  EXPECT_TRUE(
      Receive(SpdyPeer::Control(static_cast<SpdyControl>(77), "abc")).ok());
  ASSERT_TRUE(Receive(peer_.SynStream(1, {})).ok());
  EXPECT_EQ(peer_.Replies(), 1u);
}

}  // namespace
}  // namespace pinion::cri::streaming
