#include "cri/streaming/upgrade.h"

#include <openssl/sha.h>

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace pinion::cri::streaming {
namespace {

struct Subprotocol {
  const char* name;
  Carrier carrier;
  int version;
};

// In no order: the client's counts.
constexpr Subprotocol kSpdyCommand[] = {
    {"v4.channel.k8s.io", Carrier::kSpdy, 4},
    {"v3.channel.k8s.io", Carrier::kSpdy, 3},
    {"v2.channel.k8s.io", Carrier::kSpdy, 2},
    {"channel.k8s.io", Carrier::kSpdy, 1},
};
constexpr Subprotocol kSpdyPorts[] = {
    {"portforward.k8s.io", Carrier::kSpdy, 1},
};
constexpr Subprotocol kWebSocketCommand[] = {
    {"v5.channel.k8s.io", Carrier::kWebSocketChannels, 5},
    {"v4.channel.k8s.io", Carrier::kWebSocketChannels, 4},
    {"channel.k8s.io", Carrier::kWebSocketChannels, 1},
};
constexpr Subprotocol kWebSocketPorts[] = {
    {"SPDY/3.1+portforward.k8s.io", Carrier::kSpdyOverWebSocket, 1},
    {"v4.channel.k8s.io", Carrier::kWebSocketChannels, 4},
};

template <size_t N>
const Subprotocol* Choose(const std::vector<std::string>& wanted,
                          const Subprotocol (&known)[N]) {
  for (const std::string& name : wanted) {
    for (const Subprotocol& protocol : known) {
      if (name == protocol.name) return &protocol;
    }
  }
  return nullptr;
}

template <size_t N>
std::string Names(const Subprotocol (&known)[N]) {
  return absl::StrJoin(known, ", ",
                       [](std::string* out, const Subprotocol& protocol) {
                         out->append(protocol.name);
                       });
}

Upgrade Refuse(std::string_view status, std::string_view text,
               std::string_view more_fields = "") {
  Upgrade upgrade;
  upgrade.response = ErrorResponse(status, text, more_fields);
  return upgrade;
}

Upgrade Accept(const Subprotocol& protocol, const std::string& fields) {
  Upgrade upgrade;
  upgrade.accepted = true;
  upgrade.carrier = protocol.carrier;
  upgrade.version = protocol.version;
  upgrade.response = absl::StrCat(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n", fields,
      "\r\n\r\n");
  return upgrade;
}

Upgrade UpgradeToSpdy(const HttpHead& head, Kind kind) {
  const std::vector<std::string> wanted =
      head.Items("x-stream-protocol-version");
  const bool ports = kind == Kind::kPortForward;
  if (wanted.empty()) {
    return Refuse("400 Bad Request", "no X-Stream-Protocol-Version");
  }
  const Subprotocol* protocol =
      ports ? Choose(wanted, kSpdyPorts) : Choose(wanted, kSpdyCommand);
  if (protocol == nullptr) {
    const std::string known = ports ? Names(kSpdyPorts) : Names(kSpdyCommand);
    return Refuse(
        "403 Forbidden",
        absl::StrCat("no stream protocol in common; here: ", known),
        absl::StrCat("X-Accepted-Stream-Protocol-Versions: ", known, "\r\n"));
  }
  return Accept(*protocol,
                absl::StrCat("Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ",
                             protocol->name));
}

Upgrade UpgradeToWebSocket(const HttpHead& head, Kind kind) {
  if (head.method != "GET") {
    return Refuse("405 Method Not Allowed", "WebSocket wants GET",
                  "Allow: GET\r\n");
  }
  if (head.Single("sec-websocket-version") != "13") {
    return Refuse("426 Upgrade Required", "WebSocket version 13 only",
                  "Sec-WebSocket-Version: 13\r\n");
  }
  const std::string key = head.Single("sec-websocket-key");
  std::string nonce;
  if (!absl::Base64Unescape(key, &nonce) || nonce.size() != 16) {
    return Refuse("400 Bad Request", "malformed Sec-WebSocket-Key");
  }
  const std::vector<std::string> wanted = head.Items("sec-websocket-protocol");
  const bool ports = kind == Kind::kPortForward;
  const Subprotocol* protocol = ports ? Choose(wanted, kWebSocketPorts)
                                      : Choose(wanted, kWebSocketCommand);
  if (protocol == nullptr) {
    return Refuse("400 Bad Request",
                  absl::StrCat("no WebSocket subprotocol in common; here: ",
                               ports ? Names(kWebSocketPorts)
                                     : Names(kWebSocketCommand)));
  }
  return Accept(*protocol,
                absl::StrCat("Upgrade: websocket\r\nSec-WebSocket-Accept: ",
                             WebSocketAccept(key),
                             "\r\nSec-WebSocket-Protocol: ", protocol->name));
}

}  // namespace

Upgrade NegotiateUpgrade(const HttpHead& head, Kind kind) {
  if (head.method != "GET" && head.method != "POST") {
    return Refuse("405 Method Not Allowed", "GET or POST",
                  "Allow: GET, POST\r\n");
  }
  if (head.HasItem("connection", "upgrade")) {
    if (head.HasItem("upgrade", "websocket")) {
      return UpgradeToWebSocket(head, kind);
    }
    if (head.HasItem("upgrade", "SPDY/3.1")) return UpgradeToSpdy(head, kind);
  }
  return Refuse("400 Bad Request", "an upgrade to SPDY/3.1 or websocket only");
}

bool ForeignOrigin(const HttpHead& head) {
  if (!head.Has("origin")) return false;
  absl::string_view origin;
  const std::string value = head.Single("origin");
  origin = value;
  const size_t scheme = origin.find("://");
  if (scheme == absl::string_view::npos) return true;
  origin.remove_prefix(scheme + 3);
  const std::string host = head.Single("host");
  return host.empty() || !absl::EqualsIgnoreCase(origin, host);
}

std::string ErrorResponse(std::string_view status, std::string_view text,
                          std::string_view more_fields) {
  const auto view = [](std::string_view v) {
    return absl::string_view(v.data(), v.size());
  };
  return absl::StrCat("HTTP/1.1 ", view(status), "\r\n", view(more_fields),
                      "Connection: close\r\n"
                      "Content-Type: text/plain; charset=utf-8\r\n"
                      "X-Content-Type-Options: nosniff\r\nContent-Length: ",
                      text.size() + 1, "\r\n\r\n", view(text), "\n");
}

std::string TooManyResponse() {
  return ErrorResponse("503 Service Unavailable", "too many streaming sessions",
                       "Retry-After: 10\r\n");
}

std::string WebSocketAccept(const std::string& key) {
  const std::string text =
      absl::StrCat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       digest);
  return absl::Base64Escape(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

}  // namespace pinion::cri::streaming
