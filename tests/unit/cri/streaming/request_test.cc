// What comes before a session: the head, the upgrade, the token; and what
// comes after: the exit status. And a terminal's size.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cri/streaming/exit_status.h"
#include "cri/streaming/http_head.h"
#include "cri/streaming/token_store.h"
#include "cri/streaming/upgrade.h"
#include "tests/support/fake_clock.h"

namespace pinion::cri::streaming {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(HttpHeadTest, Parses) {
  const std::string text =
      "POST /exec/abc?x=1 HTTP/1.1\r\nHost: a:1\r\nUpgrade:  SPDY/3.1 \r\n"
      "X-List: a, b\r\nx-list:c\r\n\r\n";
  EXPECT_EQ(HeadLength(text + "more"), text.size());
  EXPECT_EQ(HeadLength(text.substr(0, text.size() - 1)), 0u);
  const auto head = ParseHead(text);
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->path, "/exec/abc");
  EXPECT_TRUE(head->HasItem("upgrade", "spdy/3.1"));
  EXPECT_THAT(head->Items("x-list"), ElementsAre("a", "b", "c"));
  EXPECT_EQ(head->Single("x-list"), "");
}

TEST(HttpHeadTest, RefusesWhatIsAmbiguous) {
  for (const char* bad :
       {"GET / HTTP/1.0\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n",
        "GET http://x/ HTTP/1.1\r\n\r\n", "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\x01\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "\r\n\r\n"}) {
    EXPECT_FALSE(ParseHead(bad).ok()) << bad;
  }
  std::string many = "GET / HTTP/1.1\r\n";
  for (size_t i = 0; i <= kMaxHeaderFields; ++i) many += "a: b\r\n";
  EXPECT_FALSE(ParseHead(many + "\r\n").ok());
}

HttpHead Head(const std::string& fields, const std::string& method = "GET") {
  const auto head =
      ParseHead(method + " / HTTP/1.1\r\nHost: h:1\r\n" + fields + "\r\n");
  EXPECT_TRUE(head.ok()) << head.status();
  return head.ok() ? *head : HttpHead();
}

constexpr char kSpdy[] = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";
constexpr char kWebSocket[] =
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

TEST(UpgradeTest, TheClientsOrderCounts) {
  const Upgrade upgrade = NegotiateUpgrade(
      Head(std::string(kSpdy) +
               "X-Stream-Protocol-Version: v9.channel.k8s.io\r\n"
               "X-Stream-Protocol-Version: v3.channel.k8s.io\r\n"
               "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n",
           "POST"),
      Kind::kExec);
  ASSERT_TRUE(upgrade.accepted);
  EXPECT_EQ(upgrade.carrier, Carrier::kSpdy);
  EXPECT_EQ(upgrade.version, 3);
  EXPECT_THAT(upgrade.response, StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(upgrade.response,
              HasSubstr("X-Stream-Protocol-Version: v3.channel.k8s.io\r\n"));
}

TEST(UpgradeTest, WebSocketOfEachKind) {
  const std::string offer =
      "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io, "
      "v5.channel.k8s.io, v4.channel.k8s.io\r\n";
  const HttpHead head = Head(kWebSocket + offer);
  const Upgrade exec = NegotiateUpgrade(head, Kind::kExec);
  ASSERT_TRUE(exec.accepted);
  EXPECT_EQ(exec.carrier, Carrier::kWebSocketChannels);
  EXPECT_EQ(exec.version, 5);
  // RFC 6455, 1.3.
  EXPECT_THAT(exec.response,
              HasSubstr("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
  const Upgrade ports = NegotiateUpgrade(head, Kind::kPortForward);
  ASSERT_TRUE(ports.accepted);
  EXPECT_EQ(ports.carrier, Carrier::kSpdyOverWebSocket);
}

TEST(UpgradeTest, SaysWhyNot) {
  const auto answer = [](const std::string& fields,
                         const std::string& method = "GET") {
    const Upgrade upgrade = NegotiateUpgrade(Head(fields, method), Kind::kExec);
    EXPECT_FALSE(upgrade.accepted);
    return upgrade.response.substr(9, 3);
  };
  EXPECT_EQ(answer(""), "400");
  EXPECT_EQ(answer("Upgrade: SPDY/3.1\r\n"), "400");
  EXPECT_EQ(answer(kSpdy), "400");
  EXPECT_EQ(answer(std::string(kSpdy) + "X-Stream-Protocol-Version: v9\r\n"),
            "403");
  EXPECT_EQ(answer(kWebSocket), "400");
  EXPECT_EQ(answer(kWebSocket, "POST"), "405");
  EXPECT_EQ(answer("", "PUT"), "405");
}

TEST(OriginTest, OnlyItsOwn) {
  EXPECT_FALSE(ForeignOrigin(Head("")));
  EXPECT_FALSE(ForeignOrigin(Head("Origin: http://h:1\r\n")));
  EXPECT_TRUE(ForeignOrigin(Head("Origin: http://h:2\r\n")));
  EXPECT_TRUE(ForeignOrigin(Head("Origin: null\r\n")));
  EXPECT_TRUE(
      ForeignOrigin(Head("Origin: http://h:1\r\nOrigin: http://evil\r\n")));
}

TEST(TokenStoreTest, IsTakenOnce) {
  testing_support::FakeClock clock;
  TokenStore tokens(clock);
  Request request;
  request.id = "c1";
  const auto path = tokens.Add(request);
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(path->size(), sizeof("/exec/") - 1 + 32);
  EXPECT_NE(*path, *tokens.Add(request));
  std::string attach = *path;
  attach.replace(1, 4, "attach");
  EXPECT_FALSE(tokens.Take(attach).has_value()) << "another kind";
  ASSERT_TRUE(tokens.Take(*path).has_value());
  EXPECT_FALSE(tokens.Take(*path).has_value());
}

TEST(TokenStoreTest, Expires) {
  testing_support::FakeClock clock;
  TokenStore tokens(clock);
  const auto path = tokens.Add({});
  ASSERT_TRUE(path.ok());
  clock.Advance(TokenStore::kLifetime);
  EXPECT_FALSE(tokens.Take(*path).has_value());
}

TEST(TokenStoreTest, IsBoundedUntilTheyExpire) {
  testing_support::FakeClock clock;
  TokenStore tokens(clock);
  for (size_t i = 0; i < TokenStore::kMaxWaiting; ++i) {
    ASSERT_TRUE(tokens.Add({}).ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(tokens.Add({}).status()));
  clock.Advance(TokenStore::kLifetime);
  EXPECT_TRUE(tokens.Add({}).ok());
}

TEST(TokenStoreTest, CommandsThatWaitAreBoundedInBytes) {
  testing_support::FakeClock clock;
  TokenStore tokens(clock);
  Request half;
  half.command = {"sh", std::string(TokenStore::kMaxWaitingBytes / 2, 'x')};
  const auto path = tokens.Add(half);
  ASSERT_TRUE(path.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(tokens.Add(half).status()));
  EXPECT_TRUE(tokens.Add({}).ok());
  ASSERT_TRUE(tokens.Take(*path).has_value());
  EXPECT_TRUE(tokens.Add(half).ok());
  clock.Advance(TokenStore::kLifetime);
  EXPECT_TRUE(tokens.Add(half).ok());
}

TEST(ExitTextTest, IsAStatusFromVersion4On) {
  const auto json = [](const absl::StatusOr<int32_t>& outcome) {
    return nlohmann::json::parse(ExitText(4, outcome));
  };
  EXPECT_EQ(json(0)["status"], "Success");
  const auto seven = json(7);
  EXPECT_EQ(seven["status"], "Failure");
  EXPECT_EQ(seven["reason"], "NonZeroExitCode");
  EXPECT_EQ(seven["details"]["causes"][0]["reason"], "ExitCode");
  EXPECT_EQ(seven["details"]["causes"][0]["message"], "7");
  const auto lost = json(absl::UnavailableError("monitor \xff lost"));
  EXPECT_EQ(lost["reason"], "InternalError");
  EXPECT_THAT(lost["message"].get<std::string>(), HasSubstr("monitor"));
  EXPECT_EQ(ExitText(3, 0), "");
  EXPECT_EQ(ExitText(3, 7), "command terminated with exit code 7");
}

TEST(TerminalSizeTest, TheLastWholeOneCounts) {
  std::string buffer = "{\"Width\":80,\"Height\":24}\n{\"Width\":100,\"Hei";
  TerminalSize size;
  ASSERT_TRUE(TakeTerminalSize(&buffer, &size));
  EXPECT_EQ(size.columns, 80);
  EXPECT_EQ(size.rows, 24);
  buffer += "ght\":50}";
  ASSERT_TRUE(TakeTerminalSize(&buffer, &size));
  EXPECT_EQ(size.columns, 100);
  for (const char* bad : {"}", "{\"Width\":-1,\"Height\":2}", "{\"Width\":1}",
                          "{\"Width\":65536,\"Height\":2}", "[1}"}) {
    std::string text = bad;
    EXPECT_FALSE(TakeTerminalSize(&text, &size)) << bad;
    EXPECT_EQ(text, "");
  }
  std::string flood(kMaxResizeBuffer + 1, 'x');
  EXPECT_FALSE(TakeTerminalSize(&flood, &size));
  EXPECT_EQ(flood, "");
}

}  // namespace
}  // namespace pinion::cri::streaming
