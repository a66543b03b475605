// Which protocol a client gets, and the HTTP answer that says so.
//
// Pure functions.

#ifndef PINION_CRI_STREAMING_UPGRADE_H_
#define PINION_CRI_STREAMING_UPGRADE_H_

#include <string>
#include <string_view>

#include "cri/streaming/http_head.h"
#include "cri/streaming/request.h"

namespace pinion::cri::streaming {

// How the streams travel.
enum class Carrier {
  kSpdy,               // SPDY/3.1 on the connection itself
  kWebSocketChannels,  // the first byte of each message is a channel
  kSpdyOverWebSocket,  // the messages' content is SPDY/3.1
};

struct Upgrade {
  // The whole response: 101, or why not.
  std::string response;
  bool accepted = false;
  Carrier carrier = Carrier::kSpdy;
  // remotecommand's stream protocol, 1 to 5; without meaning for ports.
  int version = 0;
};

// After the request is known (its path was found). GET and POST alike, as
// clients send either.
Upgrade NegotiateUpgrade(const HttpHead& head, Kind kind);

// A browser's page may not reach this server: true if there is an Origin
// whose host is not the one the request went to.
bool ForeignOrigin(const HttpHead& head);

// A response that closes the connection: ErrorResponse("404 Not Found", …).
std::string ErrorResponse(std::string_view status, std::string_view text,
                          std::string_view more_fields = "");
// 503, try again.
std::string TooManyResponse();

// The answer to a Sec-WebSocket-Key (RFC 6455, 4.2.2).
std::string WebSocketAccept(const std::string& key);

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_UPGRADE_H_
