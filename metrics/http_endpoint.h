// `GET /metrics` over HTTP/1.1: a responder of a few hundred lines instead of
// a web server, because the daemon's idle memory is budgeted
// (docs/decisions/metrics_endpoint.md has the measurement).
//
// One thread of its own, so that a scrape never delays the reactor that owns
// the monitors. Every connection is bounded: kMaxConnections at a time,
// kMaxRequestBytes of request, kDeadline from accept to the last byte, one
// request each (`Connection: close`).

#ifndef PINION_METRICS_HTTP_ENDPOINT_H_
#define PINION_METRICS_HTTP_ENDPOINT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "metrics/metrics.h"

namespace pinion::metrics {

class HttpEndpoint {
 public:
  static constexpr size_t kMaxConnections = 16;
  static constexpr size_t kMaxRequestBytes = 8192;
  static constexpr std::chrono::seconds kDeadline{10};

  // Listens on `address`: "127.0.0.1:9469", "[::1]:9469"; port 0 takes a free
  // one. A host name is InvalidArgument: an endpoint must not depend on a
  // resolver. `registry` outlives the endpoint.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Start(
      const std::string& address, Registry& registry);
  virtual ~HttpEndpoint() = default;

  virtual uint16_t port() const = 0;
};

// What to send for a request that has arrived up to and including the empty
// line; exposed for its test. `body` is called only where it is needed.
std::string AnswerHttp(const std::string& request, Registry& registry);

}  // namespace pinion::metrics

#endif  // PINION_METRICS_HTTP_ENDPOINT_H_
