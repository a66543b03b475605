// The HTTP server behind the URLs that Exec, Attach and PortForward answer:
// GET or POST /<kind>/<token> with an upgrade to SPDY/3.1 or WebSocket.
//
// Thread-safe. One thread accepts; each session has one of its own, which
// ends with it: sessions hold descriptors, buffers of some 200 KiB at most,
// and nothing when they are over.

#ifndef PINION_CRI_STREAMING_SERVER_H_
#define PINION_CRI_STREAMING_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "cri/streaming/backend.h"
#include "cri/streaming/request.h"
#include "metrics/metrics.h"

namespace pinion::cri::streaming {

struct Options {
  // Numeric, "127.0.0.1:0"; port 0 takes a free one.
  std::string address = "127.0.0.1:0";
  // PEM files; both or none: with them the URLs are https.
  std::string tls_certificate;
  std::string tls_key;
  // A session in which nothing moves for so long is ended; zero: never.
  std::chrono::nanoseconds idle_timeout = std::chrono::hours(4);
  // From the connection to the end of the request's head.
  std::chrono::nanoseconds head_timeout = std::chrono::seconds(5);
  // From then to the last stream that the client has to open.
  std::chrono::nanoseconds creation_timeout = std::chrono::seconds(30);
  // One more session is answered 503.
  size_t max_sessions = 256;
  // Connections that have shown no token yet. One more is answered 503; with
  // TLS it is closed.
  size_t max_newcomers = 64;
};

struct Dependencies {
  // Both outlive the server.
  Backend* backend = nullptr;
  metrics::Registry* metrics = nullptr;
  const Clock* clock = &Clock::Real();
};

// What Start would refuse of what can be known without listening:
// InvalidArgument for the TLS files.
absl::Status CheckOptions(const Options& options);

class Server {
 public:
  // Listens and serves. InvalidArgument for the address or the TLS files.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const Options& options, const Dependencies& dependencies);
  // Stop, and waits for as long as it takes.
  virtual ~Server() = default;

  // Takes no connection any more and ends every session, and with the execs'
  // sessions the execs: at once, but a session in the middle of a call to the
  // backend ends after that. False if some have not ended within `timeout`.
  virtual bool Stop(std::chrono::nanoseconds timeout) = 0;

  // Where a client finds what it asked for: once, for a minute.
  // ResourceExhausted while too many wait.
  virtual absl::StatusOr<std::string> Url(Request request) = 0;

  virtual uint16_t port() const = 0;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_SERVER_H_
